#!/usr/bin/env node
/**
 * Writes vectors/libp2p_wire.json to stdout: what js-libp2p and the packages below it put on the wire for multistream-select, ping,
 * yamux and WebSocket.
 */
import '../lib/polyfill.mjs'
import net from 'node:net'
import http from 'node:http'
import { once } from 'node:events'
import { duplexPair } from 'it-pair/duplex'
import { part, required } from '../lib/modules.mjs'

const { select, handle } = await part('@libp2p/multistream-select/dist/src/index.js')
const { Ping } = await part('@libp2p/ping/dist/src/ping.js')
const { encodeHeader } = await part('@chainsafe/libp2p-yamux/dist/src/encode.js')
const { WebSocket, WebSocketServer, Sender } = required('ws')

const hex = b => Buffer.from(b).toString('hex')
const silent = Object.assign(() => {}, { trace: () => {}, error: () => {}, newScope: () => silent })

/** Both ends of a stream, and what either has written. */
function recorded () {
  const written = [[], []]
  const ends = duplexPair().map((end, i) => ({
    source: end.source,
    sink: source => end.sink((async function * () {
      for await (const buf of source) { written[i].push(Buffer.from(buf.subarray())); yield buf }
    })())
  }))
  return { ends, written: () => written.map(list => hex(Buffer.concat(list))) }
}

// ---- multistream-select: both sides' lines, whole ----

async function multistream (name, proposals, supported) {
  const { ends, written } = recorded()
  const handled = handle(ends[1], supported, { log: silent }).catch(() => {})
  const agreed = await select(ends[0], proposals, { log: silent }).then(result => result.protocol, () => null)
  if (agreed !== null) await handled
  const [initiator, responder] = written()
  return { name, proposals, supported, agreed, initiator, responder }
}

// ---- ping: as the one who answers it ----

async function ping () {
  const { ends, written } = recorded()
  const sent = Buffer.from(Array.from({ length: 64 }, (_, i) => 255 - i))
  const stream = { ...ends[1], close: async () => {}, abort: () => {} }
  new Ping({ logger: { forComponent: () => silent } }).handleMessage({ stream, connection: { log: silent } })
  ends[0].sink([sent])
  let got = 0
  for await (const buf of ends[0].source) { got += buf.byteLength; if (got >= sent.length) break }
  return { initiator: written()[0], responder: written()[1] }
}

// ---- yamux: headers ----

const TYPES = ['data', 'window_update', 'ping', 'go_away']
const yamux = [
  [0, 0, 1, 5], [0, 4, 2, 0], [0, 1, 3, 1048576], [0, 15, 0xffffffff, 0],
  [1, 1, 1, 0], [1, 2, 2, 262144], [1, 4, 5, 0], [1, 8, 7, 0], [1, 0, 9, 0xffffffff],
  [2, 1, 0, 0x01020304], [2, 2, 0, 0x01020304], [3, 0, 0, 0], [3, 0, 0, 1], [3, 0, 0, 2]
].map(([type, flag, streamID, length]) => ({ type: TYPES[type], flags: flag, stream: streamID, length, bytes: hex(encodeHeader({ type, flag, streamID, length })) }))

// ---- WebSocket: the upgrade and frames ----

const KEY = 'AAECAwQFBgcICQoLDA0ODw=='

/** The request of a client, with our key and port in place of those that it drew. */
async function clientRequest () {
  const server = http.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const raw = net.createServer().listen(0, '127.0.0.1')
  await once(raw, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${raw.address().port}`, { perMessageDeflate: false })
  client.on('error', () => {})
  const [socket] = await once(raw, 'connection')
  const [request] = await once(socket, 'data')
  socket.destroy(); raw.close(); server.close()
  return request.toString().replace(/(Sec-WebSocket-Key: ).*\r/, `$1${KEY}\r`).replace(/(Host: ).*\r/, '$1127.0.0.1:4001\r')
}

async function serverResponse (request) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const socket = net.connect(server.address().port, '127.0.0.1')
  socket.write(request)
  const [response] = await once(socket, 'data')
  socket.destroy(); server.close()
  return response.toString()
}

const BINARY = 2; const PING = 9; const PONG = 10; const CLOSE = 8
const mask = [0x37, 0xfa, 0x21, 0x3d]
function frame (name, opcode, size, masked, fin = true) {
  const payload = Buffer.from(Array.from({ length: size }, (_, i) => i & 255))
  if (opcode === CLOSE) payload.writeUInt16BE(1000)
  const options = { fin, opcode, mask: masked, maskBuffer: Buffer.alloc(4), generateMask: out => out.set(mask), readOnly: true, rsv1: false }
  return { name, opcode, fin, masked, payload: hex(payload), bytes: hex(Buffer.concat(Sender.frame(payload, options))) }
}

const request = await clientRequest()
console.log(JSON.stringify({
  about: 'Bytes of multistream-select, ping, yamux and WebSocket (docs/formats/transport.md), as js-libp2p 2.10.0 and its packages write them: tests/interop/js/bin/wire.mjs. Opcodes are those of RFC 6455; flags those of yamux.',
  multistream: [
    await multistream('the first is taken', ['/tls/1.0.0'], ['/noise', '/tls/1.0.0']),
    await multistream('the second is taken', ['/tls/1.0.0', '/noise'], ['/noise']),
    await multistream('none is taken', ['/tls/1.0.0', '/yamux/1.0.0'], ['/noise']),
    await multistream('a length of two bytes', ['/' + 'x'.repeat(198)], ['/' + 'x'.repeat(198)])
  ],
  ping: await ping(),
  yamux,
  websocket: {
    key: KEY,
    request,
    response: await serverResponse(request),
    frames: [
      frame('of a server', BINARY, 5, false), frame('of a client', BINARY, 5, true),
      frame('the longest with a length of 7 bits', BINARY, 125, false), frame('the shortest with a length of 16 bits', BINARY, 126, false),
      frame('a length of 16 bits, of a client', BINARY, 300, true), frame('first of fragments', BINARY, 3, false, false),
      frame('last of fragments', 0, 3, false), frame('ping', PING, 4, true), frame('pong', PONG, 4, true), frame('close', CLOSE, 2, true)
    ]
  }
}, null, 1))
process.exit(0)
