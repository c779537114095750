#!/usr/bin/env node
/** Writes vectors/libp2p_nat.json to stdout: messages of AutoNAT version 1 and of DCUtR as js-libp2p makes them. */
import '../lib/polyfill.mjs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { part } from '../lib/modules.mjs'

const { Message } = await part('@libp2p/autonat/dist/src/pb/index.js')
const { HolePunch } = await part('@libp2p/dcutr/dist/src/pb/message.js')

const hex = b => Buffer.from(b).toString('hex')
const id = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(1)))
const texts = ['/ip4/198.51.100.7/udp/4001/quic-v1', '/ip4/198.51.100.7/tcp/4001', '/ip6/2001:db8::7/tcp/4001']
const addrs = texts.map(text => multiaddr(text).bytes)

const dials = [
  ['three addresses', texts, addrs],
  ['no address', [], []]
].map(([name, addresses, bytes]) => ({
  name, peer: id.toString(), addresses,
  message: hex(Message.encode({ type: Message.MessageType.DIAL, dial: { peer: { id: id.toMultihash().bytes, addrs: bytes } } }))
}))
const answer = (name, status, number, extra, address) => ({
  name, status: number, address: address ?? null, text: extra.statusText ?? '',
  message: hex(Message.encode({ type: Message.MessageType.DIAL_RESPONSE, dialResponse: { status: Message.ResponseStatus[status], ...extra } }))
})
const answers = [
  answer('reached', 'OK', 0, { addr: addrs[1] }, texts[1]),
  answer('not reached', 'E_DIAL_ERROR', 100, { statusText: 'No addresses could be dialed' }),
  answer('refused', 'E_DIAL_REFUSED', 101, { statusText: 'too many' }),
  answer('bad', 'E_BAD_REQUEST', 200, {}),
  answer('broken', 'E_INTERNAL_ERROR', 300, {})
]
const punch = (name, type, number, addresses, bytes) => ({
  name, type: number, addresses, message: hex(HolePunch.encode({ type: HolePunch.Type[type], observedAddresses: bytes }))
})
const punches = [
  punch('connect', 'CONNECT', 100, texts, addrs),
  punch('connect without addresses', 'CONNECT', 100, [], []),
  punch('sync', 'SYNC', 300, [], [])
]
console.log(JSON.stringify({
  about: 'Messages of AutoNAT version 1 and DCUtR (docs/formats/transport.md), made by js-libp2p 2.10.0 in tests/interop/js/bin/nat.mjs.',
  dials, answers, punches
}, null, 1))
