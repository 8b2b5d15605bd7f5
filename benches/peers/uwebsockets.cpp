// Echo server on uWebSockets, as its own example has it. With "broadcast" everybody subscribes to one topic, and
// what anybody says is published there. With "deflate", if it was built with zlib, it compresses.
#include "App.h"

#include <cstdlib>
#include <cstdio>
#include <cstring>

int main(int argc, char **argv)
{
    bool deflate = argc == 3 && std::strcmp(argv[2], "deflate") == 0;
    bool broadcast = argc == 3 && std::strcmp(argv[2], "broadcast") == 0;
    if (argc != 2 && !broadcast && !deflate) {
        std::fprintf(stderr, "usage: %s PORT [broadcast|deflate]\n", argv[0]);
        return 2;
    }
    struct Nothing {};
    uWS::App::WebSocketBehavior<Nothing> behavior;
    behavior.compression =
        deflate ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR) : uWS::DISABLED;
    behavior.maxPayloadLength = 16 * 1024 * 1024;
    behavior.maxBackpressure = 64 * 1024 * 1024;
    behavior.message = [deflate](auto *ws, std::string_view message, uWS::OpCode opcode) {
        ws->send(message, opcode, deflate);
    };
    uWS::App app;
    if (broadcast) {
        behavior.open = [](auto *ws) { ws->subscribe("all"); };
        behavior.message = [&app](auto *, std::string_view message, uWS::OpCode opcode) {
            app.publish("all", message, opcode, false);
        };
    }
    app.ws<Nothing>("/*", std::move(behavior))
        .listen("127.0.0.1", std::atoi(argv[1]), [](auto *listener) {
            if (!listener) std::exit(1);
        })
        .run();
    return 1;
}
