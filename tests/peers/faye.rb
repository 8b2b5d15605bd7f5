# faye.rb URL: see peers.py. (Debian has no compression for it.)
require 'eventmachine'
require 'faye/websocket'

SENT = '{"key": 1234}, ' * 2000
EM.run do
  ws = Faye::WebSocket::Client.new(ARGV[0], %w[v1 v2])
  messages = 0
  ws.on(:open) { ws.send(SENT) }
  ws.on(:message) do |event|
    abort 'another message came back' if event.data != SENT
    (messages += 1) == 3 ? ws.close(1000, 'bye') : ws.send(SENT)
  end
  ws.on(:close) do |event|
    puts "#{ws.protocol} false #{event.code}"
    EM.stop
  end
end
