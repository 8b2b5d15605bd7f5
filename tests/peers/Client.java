// java Client.java URL: see peers.py. (The client of java.net.http knows no compression.)
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

public class Client implements WebSocket.Listener {
    private final String sent = "{\"key\": 1234}, ".repeat(2000);
    private final StringBuilder back = new StringBuilder();
    private final CompletableFuture<Integer> closed = new CompletableFuture<>();
    private int messages;

    public CompletionStage<?> onText(WebSocket ws, CharSequence data, boolean last) {
        back.append(data);
        if (last) {
            if (!back.toString().equals(sent)) closed.completeExceptionally(new Exception("another message came back"));
            back.setLength(0);
            if (++messages == 3) ws.sendClose(1000, "bye");
            else ws.sendText(sent, true);
        }
        ws.request(1);
        return null;
    }

    public CompletionStage<?> onClose(WebSocket ws, int status, String reason) {
        closed.complete(status);
        return null;
    }

    public void onError(WebSocket ws, Throwable error) {
        closed.completeExceptionally(error);
    }

    public static void main(String[] args) throws Exception {
        Client client = new Client();
        WebSocket ws = HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("v1", "v2")
            .buildAsync(URI.create(args[0]), client).join();
        ws.sendText(client.sent, true);
        int status = client.closed.get();
        System.out.println(ws.getSubprotocol() + " false " + status);
        System.exit(0);
    }
}
