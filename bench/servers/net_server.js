// Node's net module.
'use strict';

const net = require('node:net');

const CHUNK = Buffer.alloc(65536, 'x');

const roles = {
  accept: (socket) => socket.destroy(),
  reply: (socket) => socket.on('data', (data) => {
    socket.write(data);
    socket.destroySoon();
  }),
  echo: (socket) => {
    socket.on('data', (data) => { if (!socket.write(data)) socket.pause(); });
    socket.on('drain', () => socket.resume());
  },
  discard: (socket) => socket.on('data', () => {}),
  chargen: (socket) => {
    const fill = () => { while (!socket.destroyed && socket.write(CHUNK)); };
    socket.on('drain', fill);
    fill();
  },
};

const role = roles[process.argv[2]];
if (!role || process.argv.length !== 3) {
  console.error(`usage: net_server.js ${Object.keys(roles).join(' | ')}`);
  process.exit(2);
}
const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  role(socket);
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log('PORT', server.address().port));
