// gorilla client URL | gorilla server: see peers.py.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/gorilla/websocket"
)

func fail(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func client(url string) {
	dialer := websocket.Dialer{Subprotocols: []string{"v1", "v2"}, EnableCompression: true}
	ws, response, err := dialer.Dial(url, nil)
	fail(err)
	sent := strings.Repeat("{\"key\": 1234}, ", 2000)
	for i := 0; i < 3; i++ {
		fail(ws.WriteMessage(websocket.TextMessage, []byte(sent)))
		_, back, err := ws.ReadMessage()
		fail(err)
		if string(back) != sent {
			fail(fmt.Errorf("another message came back"))
		}
	}
	compressed := strings.Contains(response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	fail(ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")))
	_, _, err = ws.ReadMessage()
	fmt.Println(ws.Subprotocol(), compressed, err.(*websocket.CloseError).Code)
}

func echo(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"v2", "v1"}, EnableCompression: true}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil || ws.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) > 2 {
		client(os.Args[2])
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	fail(http.Serve(listener, http.HandlerFunc(echo)))
}
