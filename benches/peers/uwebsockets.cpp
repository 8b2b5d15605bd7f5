// Echo server on uWebSockets, as its own example has it. With "broadcast" everybody subscribes to one topic, and
// what anybody says is published there. With "deflate", if it was built with zlib, it compresses.
#include "App.h"

#include <cstdlib>
#include <cstdio>
#include <cstring>

struct Nothing {};

template <typename App>
static void serve(App &&app, const char *port, bool broadcast, bool deflate)
{
    typename std::decay_t<App>::template WebSocketBehavior<Nothing> behavior;
    behavior.compression =
        deflate ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR) : uWS::DISABLED;
    behavior.maxPayloadLength = 16 * 1024 * 1024;
    behavior.maxBackpressure = 64 * 1024 * 1024;
    behavior.message = [deflate](auto *ws, std::string_view message, uWS::OpCode opcode) {
        ws->send(message, opcode, deflate);
    };
    if (broadcast) {
        behavior.open = [](auto *ws) { ws->subscribe("all"); };
        behavior.message = [&app](auto *, std::string_view message, uWS::OpCode opcode) {
            app.publish("all", message, opcode, false);
        };
    }
    app.template ws<Nothing>("/*", std::move(behavior))
        .listen("127.0.0.1", std::atoi(port), [](auto *listener) {
            if (!listener) std::exit(1);
        })
        .run();
}

int main(int argc, char **argv)
{
    bool deflate = argc == 3 && std::strcmp(argv[2], "deflate") == 0;
    bool broadcast = argc == 3 && std::strcmp(argv[2], "broadcast") == 0;
    if (argc != 2 && argc != 4 && !broadcast && !deflate) {
        std::fprintf(stderr, "usage: %s PORT [broadcast | deflate | CERTIFICATE KEY]\n", argv[0]);
        return 2;
    }
    if (argc == 4) {
        uWS::SocketContextOptions options;
        options.cert_file_name = argv[2];
        options.key_file_name = argv[3];
        serve(uWS::SSLApp(options), argv[1], false, false);
    } else {
        serve(uWS::App(), argv[1], broadcast, deflate);
    }
    return 1;
}
