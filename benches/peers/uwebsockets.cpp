// Echo server on uWebSockets, as its own example has it, without compression.
#include "App.h"

#include <cstdlib>
#include <cstdio>

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    struct Nothing {};
    uWS::App::WebSocketBehavior<Nothing> behavior;
    behavior.compression = uWS::DISABLED;
    behavior.maxPayloadLength = 16 * 1024 * 1024;
    behavior.maxBackpressure = 64 * 1024 * 1024;
    behavior.message = [](auto *ws, std::string_view message, uWS::OpCode opcode) {
        ws->send(message, opcode, false);
    };
    uWS::App().ws<Nothing>("/*", std::move(behavior))
        .listen("127.0.0.1", std::atoi(argv[1]), [](auto *listener) {
            if (!listener) std::exit(1);
        })
        .run();
    return 1;
}
