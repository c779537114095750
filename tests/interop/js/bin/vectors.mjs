#!/usr/bin/env node
/**
 * Writes vectors/libp2p_messages.json to stdout: keys and signatures of every type, signed peer records and identify
 * messages as js-libp2p makes them, and what must be refused. Keys that cannot be derived from a seed, and ECDSA
 * signatures, are taken from the file that is there (--keep FILE), so that a new run changes nothing else.
 */
import '../lib/polyfill.mjs'
import crypto from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { generateKeyPair, generateKeyPairFromSeed, privateKeyFromProtobuf, privateKeyToProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromMultihash, peerIdFromPrivateKey } from '@libp2p/peer-id'
import { identity } from 'multiformats/hashes/identity'
import { sha256 } from 'multiformats/hashes/sha2'
import { PeerRecord, RecordEnvelope } from '@libp2p/peer-record'
import { multiaddr } from '@multiformats/multiaddr'
import { parseArgs } from '../lib/args.mjs'

const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'node_modules')
const { Identify } = await import(pathToFileURL(path.join(modules, '@libp2p/identify/dist/src/pb/message.js')).href)

const a = parseArgs(process.argv.slice(2), { keep: '' })
const kept = a.keep ? JSON.parse(await fs.readFile(a.keep, 'utf8').catch(() => '{}')) : {}
const hex = b => Buffer.from(b).toString('hex')
const unhex = t => Buffer.from(t, 'hex')
const seed = n => new Uint8Array(32).fill(n)

// ---- DER and protobuf, just enough to make wrong ones ----

const length = n => n < 128 ? Buffer.from([n]) : n < 256 ? Buffer.from([0x81, n]) : Buffer.from([0x82, n >> 8, n & 255])
const tlv = (tag, ...parts) => { const body = Buffer.concat(parts); return Buffer.concat([Buffer.from([tag]), length(body.length), body]) }
const minimal = b => { let i = 0; while (i < b.length - 1 && b[i] === 0) i++; b = b.subarray(i); return b[0] & 128 ? Buffer.concat([Buffer.from([0]), b]) : b }
const integer = b => tlv(0x02, minimal(Buffer.from(b)))
const varint = n => { const out = []; for (; n > 127; n = Math.floor(n / 128)) out.push((n & 127) | 128); out.push(n); return Buffer.from(out) }
const keyProto = (type, data) => Buffer.concat([Buffer.from([0x08, type, 0x12]), varint(data.length), data])
const RSA_ID = unhex('06092a864886f70d010101'); const EC_ID = unhex('06072a8648ce3d0201')
const P256 = unhex('06082a8648ce3d030107'); const P384 = unhex('06052b81040022'); const NULL = unhex('0500')
const spki = (algorithm, key) => tlv(0x30, tlv(0x30, ...algorithm), tlv(0x03, Buffer.from([0]), key))
const rsaSpki = (n, e, parameters = NULL) => spki([RSA_ID, parameters], tlv(0x30, integer(n), integer(e)))
const modulus = bits => { const n = Buffer.alloc(bits / 8, 0xa5); n[n.length - 1] |= 1; return n }
const E3 = unhex('010001')

// ---- keys, and what they signed ----

const message = Buffer.from('libp2p key vectors')
const out = { about: 'libp2p keys, signed peer records and identify messages (docs/formats/transport.md), made by js-libp2p 2.10.0 and Node in tests/interop/js/bin/vectors.mjs. Codes are SEREUS_E_*.', message: hex(message), keys: [], signatures: [] }

// js-libp2p itself gives no peer id to an ECDSA key.
const peerOf = async proto => peerIdFromMultihash(await (proto.length <= 42 ? identity : sha256).digest(proto))

const before = name => kept.keys?.find(k => k.name === name)
async function add (name, proto, secret, sign) {
  const peer = await peerOf(proto)
  const signature = before(name) ? unhex(before(name).signature) : Buffer.from(await sign())
  out.keys.push({ name, ...secret, public: hex(proto), peer: peer.toString(), cid: peer.toCID().toString(), signature: hex(signature) })
  return { signature, proto: Buffer.from(proto) }
}
async function key (name, make) {
  const pair = before(name) ? privateKeyFromProtobuf(unhex(before(name).private)) : await make()
  const secret = { private: hex(privateKeyToProtobuf(pair)) }
  return { pair, ...await add(name, publicKeyToProtobuf(pair.publicKey), secret, () => pair.sign(message)) }
}
const ed = await key('ed25519', () => generateKeyPairFromSeed('Ed25519', seed(1)))
const secp = await key('secp256k1', () => generateKeyPair('secp256k1'))
// js-libp2p 2.10.0 has its own encodings of ECDSA keys and signatures; the specification says DER for both, so Node it is.
const ecPrivate = before('ecdsa') ? crypto.createPrivateKey({ key: unhex(before('ecdsa').pkcs8), format: 'der', type: 'pkcs8' }) : crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const ec = await add('ecdsa', keyProto(3, crypto.createPublicKey(ecPrivate).export({ type: 'spki', format: 'der' })),
  { pkcs8: hex(ecPrivate.export({ type: 'pkcs8', format: 'der' })) }, () => crypto.sign('sha256', message, ecPrivate))
const rsa = await key('rsa 2048', () => generateKeyPair('RSA', 2048))
await key('rsa 4096', () => generateKeyPair('RSA', 4096))

// The largest there may be: made by Node, as js-libp2p would take its time.
const large = kept.rsa_8192 ?? (() => {
  const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 8192 })
  return { public: hex(keyProto(0, publicKey.export({ type: 'spki', format: 'der' }))), signature: hex(crypto.sign('sha256', message, privateKey)) }
})()
out.rsa_8192 = large

// ---- signatures that are not, or just so ----

const rs = der => { let at = 2; const take = () => { const n = der[at + 1]; const v = der.subarray(at + 2, at + 2 + n); at += 2 + n; return v }; return [take(), take()] }
const order = { secp: BigInt('0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'), ec: BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551') }
const toInt = b => BigInt('0x' + hex(b)); const fromInt = n => unhex(n.toString(16).padStart(64, '0'))
const sign = (name, proto, signature, valid) => out.signatures.push({ name, public: hex(proto), signature: hex(signature), valid })
const flipped = b => { const c = Buffer.from(b); c[c.length - 1] ^= 1; return c }
for (const [name, k] of [['ed25519', ed], ['secp256k1', secp], ['ecdsa', ec], ['rsa', rsa]]) {
  sign(`${name}, one bit changed`, k.proto, flipped(k.signature), false)
  sign(`${name}, one byte more`, k.proto, Buffer.concat([k.signature, Buffer.alloc(1)]), false)
  sign(`${name}, one byte less`, k.proto, k.signature.subarray(0, -1), false)
  sign(`${name}, empty`, k.proto, Buffer.alloc(0), false)
}
for (const [name, k, n] of [['secp256k1', secp, order.secp], ['ecdsa', ec, order.ec]]) {
  const [r, s] = rs(k.signature)
  const both = [toInt(s), n - toInt(s)].sort((x, y) => (x < y ? -1 : 1))
  const make = (x, y) => tlv(0x30, integer(x), integer(y))
  sign(`${name}, low s`, k.proto, make(r, fromInt(both[0])), true)
  sign(`${name}, high s`, k.proto, make(r, fromInt(both[1])), name === 'ecdsa')
  sign(`${name}, r = 0`, k.proto, make(Buffer.from([0]), s), false)
  sign(`${name}, s = 0`, k.proto, make(r, Buffer.from([0])), false)
  sign(`${name}, r = n`, k.proto, make(fromInt(n), s), false)
  sign(`${name}, s = n`, k.proto, make(r, fromInt(n)), false)
  sign(`${name}, r + n`, k.proto, make(unhex((toInt(r) + n).toString(16).padStart(66, '0')), s), false)
  sign(`${name}, padded integer`, k.proto, tlv(0x30, tlv(0x02, Buffer.from([0]), minimal(r)), integer(s)), false)
  sign(`${name}, length in long form`, k.proto, Buffer.concat([Buffer.from([0x30, 0x81, k.signature.length - 2]), k.signature.subarray(2)]), false)
  sign(`${name}, a third integer`, k.proto, tlv(0x30, integer(r), integer(s), integer(Buffer.from([1]))), false)
  sign(`${name}, bare r and s`, k.proto, Buffer.concat([fromInt(toInt(r)), fromInt(toInt(s))]), false)
}
const n2048 = toInt(crypto.createPublicKey({ key: rsa.proto.subarray(5), type: 'spki', format: 'der' }).export({ format: 'jwk' }).n ? Buffer.from(crypto.createPublicKey({ key: rsa.proto.subarray(5), type: 'spki', format: 'der' }).export({ format: 'jwk' }).n, 'base64url') : Buffer.alloc(1))
const wide = v => unhex(v.toString(16).padStart(512, '0'))
sign('rsa, 0', rsa.proto, Buffer.alloc(256), false)
sign('rsa, 1', rsa.proto, wide(1n), false)
sign('rsa, n', rsa.proto, wide(n2048), false)
if (toInt(rsa.signature) + n2048 < 1n << 2048n) sign('rsa, n more', rsa.proto, wide(toInt(rsa.signature) + n2048), false)
const rsaNode = crypto.createPrivateKey({ key: Buffer.from(rsa.pair.raw), format: 'der', type: 'pkcs1' })
sign('rsa, of SHA-1', rsa.proto, crypto.sign('sha1', message, rsaNode), false)
sign('rsa, of SHA-512', rsa.proto, crypto.sign('sha512', message, rsaNode), false)
const encoded = tail => Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(256 - 3 - tail.length, 0xff), Buffer.from([0]), tail])
const raw = block => crypto.privateEncrypt({ key: rsaNode, padding: crypto.constants.RSA_NO_PADDING }, block)
const digest = crypto.createHash('sha256').update(message).digest()
const info = unhex('3031300d060960864801650304020105000420')
sign('rsa, its padding by hand', rsa.proto, raw(encoded(Buffer.concat([info, digest]))), true)
sign('rsa, no NULL in its DigestInfo', rsa.proto, raw(encoded(Buffer.concat([unhex('302f300b0609608648016503040201'), unhex('0420'), digest]))), false)
sign('rsa, garbage behind the digest', rsa.proto, raw(Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(8, 0xff), Buffer.from([0]), info, digest, Buffer.alloc(256 - 11 - 51, 7)])), false)
sign('rsa, digest alone', rsa.proto, raw(encoded(digest)), false)

// ---- keys that are none ----

const ecPoint = ec.proto.subarray(-65); const secpPoint = secp.proto.subarray(-33)
const other = (curve, tail) => keyProto(3, crypto.createPublicKey(crypto.generateKeyPairSync('ec', { namedCurve: curve }).privateKey).export({ type: 'spki', format: 'der' }).subarray(0, tail))
out.bad_keys = []
const badBefore = name => kept.bad_keys?.find(k => k.name === name)?.public
const bad = (name, proto, code) => out.bad_keys.push({ name, public: typeof proto === 'string' ? proto : hex(proto), code })
bad('empty', Buffer.alloc(0), 'MALFORMED')
bad('type alone', unhex('0801'), 'MALFORMED')
bad('fields in the other order', Buffer.concat([unhex('1220'), ed.proto.subarray(4), unhex('0801')]), 'MALFORMED')
bad('padded length', Buffer.concat([unhex('080112a000'), ed.proto.subarray(4)]), 'MALFORMED')
bad('an unknown field', Buffer.concat([ed.proto, unhex('1801')]), 'MALFORMED')
bad('data twice', Buffer.concat([ed.proto, ed.proto.subarray(2)]), 'MALFORMED')
bad('trailing byte', Buffer.concat([ed.proto, Buffer.alloc(1)]), 'MALFORMED')
bad('unknown type', keyProto(4, ed.proto.subarray(4)), 'UNSUPPORTED')
bad('ed25519, 31 bytes', keyProto(1, ed.proto.subarray(5)), 'MALFORMED')
bad('ed25519, 33 bytes', keyProto(1, Buffer.concat([ed.proto.subarray(4), Buffer.alloc(1)])), 'MALFORMED')
bad('ed25519, small order', keyProto(1, unhex('01' + '00'.repeat(31))), 'MALFORMED')
bad('secp256k1, infinity', keyProto(2, Buffer.alloc(1)), 'MALFORMED')
bad('secp256k1, zeros', keyProto(2, Buffer.alloc(33)), 'MALFORMED')
bad('secp256k1, x = 5 is not on the curve', keyProto(2, Buffer.concat([Buffer.from([2]), fromInt(5n)])), 'MALFORMED')
bad('secp256k1, x = p + 1', keyProto(2, Buffer.concat([Buffer.from([2]), fromInt(BigInt('0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f') + 1n)])), 'MALFORMED')
bad('secp256k1, prefix 4', keyProto(2, Buffer.concat([Buffer.from([4]), secpPoint.subarray(1)])), 'MALFORMED')
bad('secp256k1, uncompressed', keyProto(2, crypto.ECDH.convertKey(secpPoint, 'secp256k1', undefined, undefined, 'uncompressed')), 'MALFORMED')
bad('secp256k1, trailing byte', keyProto(2, Buffer.concat([secpPoint, Buffer.alloc(1)])), 'MALFORMED')
bad('ecdsa, P-384', badBefore('ecdsa, P-384') ?? other('secp384r1'), 'UNSUPPORTED')
bad('ecdsa, secp256k1', badBefore('ecdsa, secp256k1') ?? other('secp256k1'), 'UNSUPPORTED')
bad('ecdsa, infinity', keyProto(3, spki([EC_ID, P256], Buffer.alloc(1))), 'MALFORMED')
bad('ecdsa, infinity as zeros', keyProto(3, spki([EC_ID, P256], Buffer.concat([Buffer.from([4]), Buffer.alloc(64)]))), 'MALFORMED')
bad('ecdsa, not on the curve', keyProto(3, spki([EC_ID, P256], flipped(ecPoint))), 'MALFORMED')
bad('ecdsa, compressed', keyProto(3, spki([EC_ID, P256], crypto.ECDH.convertKey(ecPoint, 'prime256v1', undefined, undefined, 'compressed'))), 'MALFORMED')
bad('ecdsa, hybrid', keyProto(3, spki([EC_ID, P256], crypto.ECDH.convertKey(ecPoint, 'prime256v1', undefined, undefined, 'hybrid'))), 'MALFORMED')
bad('ecdsa, bare point', keyProto(3, ecPoint), 'MALFORMED')
bad('ecdsa, a P-256 point said to be on P-384', keyProto(3, spki([EC_ID, P384], ecPoint)), 'UNSUPPORTED')
bad('ecdsa, trailing byte', keyProto(3, Buffer.concat([spki([EC_ID, P256], ecPoint), Buffer.alloc(1)])), 'MALFORMED')
bad('ecdsa, trailing byte in its algorithm', keyProto(3, spki([EC_ID, P256, NULL], ecPoint)), 'MALFORMED')
bad('ecdsa, unused bits', keyProto(3, tlv(0x30, tlv(0x30, EC_ID, P256), tlv(0x03, Buffer.from([1]), ecPoint))), 'MALFORMED')
bad('ecdsa, length in long form', keyProto(3, Buffer.concat([unhex('308159'), spki([EC_ID, P256], ecPoint).subarray(2)])), 'MALFORMED')
bad('an RSA key said to be ECDSA', keyProto(3, rsa.proto.subarray(5)), 'MALFORMED')
bad('an ECDSA key said to be RSA', keyProto(0, ec.proto.subarray(4)), 'MALFORMED')
bad('rsa, 1024 bits', keyProto(0, rsaSpki(modulus(1024), E3)), 'UNSUPPORTED')
bad('rsa, 2040 bits', keyProto(0, rsaSpki(modulus(2040), E3)), 'UNSUPPORTED')
bad('rsa, 8200 bits', keyProto(0, rsaSpki(modulus(8200), E3)), 'UNSUPPORTED')
bad('rsa, 16384 bits', keyProto(0, rsaSpki(modulus(16384), E3)), 'TOO_LARGE')
bad('rsa, even modulus', keyProto(0, rsaSpki(Buffer.alloc(256, 0xa6), E3)), 'MALFORMED')
bad('rsa, exponent 1', keyProto(0, rsaSpki(modulus(2048), Buffer.from([1]))), 'MALFORMED')
bad('rsa, exponent 2', keyProto(0, rsaSpki(modulus(2048), Buffer.from([2]))), 'MALFORMED')
bad('rsa, exponent of 40 bits', keyProto(0, rsaSpki(modulus(2048), unhex('0100000001'))), 'MALFORMED')
bad('rsa, negative modulus', keyProto(0, spki([RSA_ID, NULL], tlv(0x30, tlv(0x02, modulus(2048)), integer(E3)))), 'MALFORMED')
bad('rsa, padded modulus', keyProto(0, spki([RSA_ID, NULL], tlv(0x30, tlv(0x02, Buffer.alloc(2), modulus(2048)), integer(E3)))), 'MALFORMED')
bad('rsa, no parameters', keyProto(0, spki([RSA_ID], tlv(0x30, integer(modulus(2048)), integer(E3)))), 'MALFORMED')
bad('rsa, a third integer', keyProto(0, spki([RSA_ID, NULL], tlv(0x30, integer(modulus(2048)), integer(E3), integer(E3)))), 'MALFORMED')
bad('rsa, PKCS #1 without SubjectPublicKeyInfo', keyProto(0, tlv(0x30, integer(modulus(2048)), integer(E3))), 'MALFORMED')

// ---- signed records and identify ----

const idOf = k => peerIdFromPrivateKey(k.pair)
const texts = ['/ip4/203.0.113.7/tcp/4001', '/ip4/203.0.113.7/udp/4001/quic-v1']
const addrs = texts.map(t => multiaddr(t))
out.peer_records = []
for (const [name, k, list, seq] of [['ed25519', ed, addrs, 1700000000n], ['no addresses, largest seq', ed, [], (1n << 64n) - 1n], ['secp256k1', secp, addrs, 1n], ['rsa 2048', rsa, addrs, 1n]]) {
  const record = new PeerRecord({ peerId: idOf(k), multiaddrs: list, seqNumber: seq })
  const envelope = kept.peer_records?.find(r => r.name === name)?.envelope ?? hex((await RecordEnvelope.seal(record, k.pair)).marshal())
  out.peer_records.push({ name, domain: record.domain, type: hex(record.codec), peer: idOf(k).toString(), seq: seq.toString(), addrs: list.map(String), payload: hex(record.marshal()), envelope })
}
out.identify = [
  { name: 'all fields', protocol_version: 'ipfs/0.1.0', agent_version: 'test/1', public: hex(ed.proto), addrs: texts, observed: '/ip4/198.51.100.2/tcp/5000', protocols: ['/ipfs/ping/1.0.0', '/echo/1.0.0'], record: out.peer_records[0].envelope },
  { name: 'a push of protocols alone', addrs: [], protocols: ['/ipfs/ping/1.0.0'] }
].map(m => ({ ...m, bytes: hex(Identify.encode({ protocolVersion: m.protocol_version, agentVersion: m.agent_version, publicKey: m.public && unhex(m.public), listenAddrs: m.addrs.map(t => multiaddr(t).bytes), observedAddr: m.observed && multiaddr(m.observed).bytes, protocols: m.protocols, signedPeerRecord: m.record && unhex(m.record) })) }))

// ---- multiaddrs ----

const ida = idOf(ed)
const certhash = 'uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ'
out.multiaddrs = [
  '/ip4/127.0.0.1/tcp/443/tls/ws', '/ip4/127.0.0.1/tcp/443/tls/sni/relay.example.org/ws', '/ip4/127.0.0.1/tcp/443/wss',
  '/dns6/relay.example.org/udp/4001/quic-v1', '/dns/relay.example.org/tcp/4001', '/ip6zone/eth0/ip6/fe80::1/tcp/4001',
  `/ip4/203.0.113.7/udp/4001/quic-v1/webtransport/certhash/${certhash}/p2p/${ida}`,
  `/ip4/203.0.113.7/udp/4001/webrtc-direct/certhash/${certhash}/p2p/${ida}`, `/p2p/${idOf(rsa)}/p2p-circuit`, `/p2p/${idOf(secp)}`
].map(t => ({ text: t, bytes: hex(multiaddr(t).bytes) }))
console.log(JSON.stringify(out, null, 1))
