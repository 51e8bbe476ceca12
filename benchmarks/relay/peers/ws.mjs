// The usual relay on `ws`: node ws.mjs PORT [KEY CERTIFICATE]
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { WebSocketServer } from 'ws';

const [port, key, cert] = process.argv.slice(2);
const server = key
  ? createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) })
  : createServer();
const streams = new Map();
const viewersOf = (name) => streams.get(name) ?? streams.set(name, new Set()).get(name);

const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket, request) => {
  const [, way, names] = request.url.split('/');
  socket.on('error', () => {});
  if (way === 'sub') {
    const watched = names.split(',').map(viewersOf);
    for (const viewers of watched) viewers.add(socket);
    socket.on('close', () => { for (const viewers of watched) viewers.delete(socket); });
    return;
  }
  const viewers = viewersOf(names);
  socket.on('message', (data) => {
    for (const viewer of viewers) viewer.send(data, { binary: true, compress: false });
  });
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 1024 });
