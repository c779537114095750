/** Writes vectors/libp2p_kad.json to stdout: messages of the Kad-DHT as js-libp2p's own codec writes them. */
import '../lib/polyfill.mjs'
import path from 'node:path'
import { pathToFileURL, fileURLToPath } from 'node:url'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
const nm = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'node_modules')
const inner = p => import(pathToFileURL(path.join(nm, p)).href)
const { Message, MessageType, ConnectionType } = await inner('@libp2p/kad-dht/dist/src/message/dht.js')
const { Libp2pRecord } = await import(pathToFileURL(path.join(nm, '@libp2p/record/dist/src/index.js')).href)
const hex = b => Buffer.from(b).toString('hex')
const seed = n => { const s = new Uint8Array(32); s.fill(n); return s }
const B = await generateKeyPairFromSeed('Ed25519', seed(2)); const idb = peerIdFromPrivateKey(B)
const addrs = [multiaddr('/ip4/203.0.113.7/tcp/4001'), multiaddr('/ip4/203.0.113.7/udp/4001/quic-v1')]
const key = new TextEncoder().encode('/sereus-test/a'); const value = new TextEncoder().encode('b')
const rec = new Libp2pRecord(key, value, new Date(1700000000123)).serialize()
console.log(JSON.stringify({
 about: 'Messages of the Kad-DHT (docs/formats/kad.md), as js-libp2p 2.10.0 writes them: tests/interop/js/bin/kad.mjs.',
 peer: idb.toString(), peerBytes: hex(idb.toMultihash().bytes), addresses: addrs.map(String),
 findNode: hex(Message.encode({ type: MessageType.FIND_NODE, key: idb.toMultihash().bytes, closer: [], providers: [] })),
 findNodeReply: hex(Message.encode({ type: MessageType.FIND_NODE, closer: [{ id: idb.toMultihash().bytes, multiaddrs: addrs.map(a => a.bytes), connection: ConnectionType.CONNECTED }], providers: [] })),
 putValue: hex(Message.encode({ type: MessageType.PUT_VALUE, key, record: rec, closer: [], providers: [] })),
 addProvider: hex(Message.encode({ type: MessageType.ADD_PROVIDER, key: Buffer.from('1220' + '11'.repeat(32), 'hex'), closer: [], providers: [{ id: idb.toMultihash().bytes, multiaddrs: addrs.map(a => a.bytes) }] })),
}, null, 1))
