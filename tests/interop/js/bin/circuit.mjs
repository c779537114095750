#!/usr/bin/env node
/** Writes vectors/libp2p_circuit.json to stdout: messages of Circuit Relay v2 and reservation vouchers as js-libp2p makes them. */
import '../lib/polyfill.mjs'
import { generateKeyPairFromSeed, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { RecordEnvelope } from '@libp2p/peer-record'
import { multiaddr } from '@multiformats/multiaddr'
import { part } from '../lib/modules.mjs'

const { HopMessage, StopMessage, Status } = await part('@libp2p/circuit-relay-v2/dist/src/pb/index.js')
const { ReservationVoucherRecord } = await part('@libp2p/circuit-relay-v2/dist/src/server/reservation-voucher.js')

const hex = b => Buffer.from(b).toString('hex')
const key = n => generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(n))
const relayKey = await key(1)
const relay = peerIdFromPrivateKey(relayKey)
const peer = peerIdFromPrivateKey(await key(2))
const id = one => one.toMultihash().bytes
const expire = 1700003600
const addresses = [`/ip4/203.0.113.7/tcp/4001/p2p/${relay}`, `/ip6/2001:db8::7/udp/4001/quic-v1/p2p/${relay}`]
const limit = { duration: 120, data: 131072n }

const record = new ReservationVoucherRecord({ relay, peer, expiration: expire })
const envelope = await RecordEnvelope.seal(record, relayKey)
// As its relay writes it, the voucher is a message in the reservation instead of its bytes.
const voucher = {
  publicKey: publicKeyToProtobuf(envelope.publicKey),
  payloadType: envelope.payloadType,
  payload: { relay: id(relay), peer: id(peer), expiration: BigInt(expire) },
  signature: envelope.signature
}
const addrs = addresses.map(text => multiaddr(text).bytes)

const hop = [
  { name: 'reserve', type: 0, message: { type: HopMessage.Type.RESERVE } },
  { name: 'connect', type: 1, peer: peer.toString(), message: { type: HopMessage.Type.CONNECT, peer: { id: id(peer), addrs: [] } } },
  { name: 'connect with the target as its address', type: 1, peer: peer.toString(), foreign: true, message: { type: HopMessage.Type.CONNECT, peer: { id: id(peer), addrs: [multiaddr(`/p2p/${peer}`).bytes] } } },
  { name: 'reservation', type: 2, status: 100, expire, addresses, limit: { seconds: 120, data: 131072 }, voucher: true, message: { type: HopMessage.Type.STATUS, status: Status.OK, reservation: { expire: BigInt(expire), addrs, voucher }, limit } },
  { name: 'reservation without a limit', type: 2, status: 100, expire, addresses, voucher: true, message: { type: HopMessage.Type.STATUS, status: Status.OK, reservation: { expire: BigInt(expire), addrs, voucher } } },
  { name: 'a limit in milliseconds', type: 2, status: 100, limit: { seconds: 120, data: 131072 }, foreign: true, message: { type: HopMessage.Type.STATUS, status: Status.OK, limit: { duration: 120000, data: 131072n } } },
  { name: 'refused', type: 2, status: 200, message: { type: HopMessage.Type.STATUS, status: Status.RESERVATION_REFUSED } },
  { name: 'no reservation', type: 2, status: 204, message: { type: HopMessage.Type.STATUS, status: Status.NO_RESERVATION } }
]
const stop = [
  { name: 'connect', type: 0, peer: peer.toString(), limit: { seconds: 120, data: 131072 }, message: { type: StopMessage.Type.CONNECT, peer: { id: id(peer), addrs: [] }, limit } },
  { name: 'connect without a limit', type: 0, peer: peer.toString(), message: { type: StopMessage.Type.CONNECT, peer: { id: id(peer), addrs: [] } } },
  { name: 'ok', type: 1, status: 100, message: { type: StopMessage.Type.STATUS, status: Status.OK } },
  { name: 'denied', type: 1, status: 202, message: { type: StopMessage.Type.STATUS, status: Status.PERMISSION_DENIED } }
]
const encoded = (codec, list) => list.map(({ message, ...rest }) => ({ ...rest, bytes: hex(codec.encode(message)) }))

console.log(JSON.stringify({
  about: 'Circuit Relay v2 (docs/formats/circuit.md): messages and a voucher, made by js-libp2p 2.10.0 in tests/interop/js/bin/circuit.mjs. "foreign": ours is written otherwise.',
  relay: { seed: hex(new Uint8Array(32).fill(1)), peer: relay.toString() },
  peer: peer.toString(),
  voucher: { expire, envelope: hex(envelope.marshal()) },
  hop: encoded(HopMessage, hop),
  stop: encoded(StopMessage, stop)
}, null, 1))
