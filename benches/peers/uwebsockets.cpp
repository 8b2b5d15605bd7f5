// Echo server on uWebSockets, as its own example has it. With "broadcast" everybody subscribes to one topic, and
// what anybody says is published there. With "deflate", if it was built with zlib, it compresses. With "keepalive" it
// sends pings.
#include "App.h"

#include <cstdlib>
#include <cstdio>
#include <string>

struct Nothing {};

struct Options {
    const char *port;
    std::string certificate, key;
    bool broadcast = false, deflate = false;
    unsigned backlog = 64 * 1024 * 1024, idle_timeout = 120;
};

template <typename App>
static void serve(App &&app, const Options &options)
{
    bool deflate = options.deflate;
    typename std::decay_t<App>::template WebSocketBehavior<Nothing> behavior;
    behavior.compression =
        deflate ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR) : uWS::DISABLED;
    behavior.maxPayloadLength = 16 * 1024 * 1024;
    behavior.maxBackpressure = options.backlog;
    behavior.idleTimeout = options.idle_timeout;
    behavior.message = [deflate](auto *ws, std::string_view message, uWS::OpCode opcode) {
        ws->send(message, opcode, deflate);
    };
    if (options.broadcast) {
        behavior.open = [](auto *ws) { ws->subscribe("all"); };
        behavior.message = [&app, deflate](auto *, std::string_view message, uWS::OpCode opcode) {
            app.publish("all", message, opcode, deflate);
        };
    }
    app.template ws<Nothing>("/*", std::move(behavior))
        .listen("127.0.0.1", std::atoi(options.port), [](auto *listener) {
            if (!listener) std::exit(1);
        })
        .run();
}

int main(int argc, char **argv)
{
    Options options;
    std::string how = argc > 2 ? argv[2] : "";
    if (argc > 1) options.port = argv[1];
    if (argc == 2) {
    } else if (argc == 3 && how == "deflate") {
        options.deflate = true;
    } else if (argc == 4 && (how == "broadcast" || how == "broadcast-deflate")) {
        options.broadcast = true;
        options.deflate = how == "broadcast-deflate";
        options.backlog = unsigned(std::atoi(argv[3]));
    } else if (argc == 4 && how == "keepalive") {
        options.idle_timeout = unsigned(std::atoi(argv[3]));
    } else if (argc == 4) {
        options.certificate = argv[2];
        options.key = argv[3];
    } else {
        std::fprintf(stderr, "usage: %s PORT [deflate | broadcast BACKLOG | broadcast-deflate BACKLOG | "
                     "keepalive SECONDS | CERTIFICATE KEY]\n", argv[0]);
        return 2;
    }
    if (!options.key.empty()) {
        uWS::SocketContextOptions files;
        files.cert_file_name = options.certificate.c_str();
        files.key_file_name = options.key.c_str();
        serve(uWS::SSLApp(files), options);
    } else {
        serve(uWS::App(), options);
    }
    return 1;
}
