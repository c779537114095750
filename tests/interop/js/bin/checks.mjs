#!/usr/bin/env node
/**
 * Lets js-libp2p judge vectors that others made, all in the folder --vectors: names and certificates of libp2p_identity.json,
 * certificates of transcripts.json, and noise_libp2p.json, whose handshakes it makes again from their secrets. One JSON result line:
 * what was checked, how often; it fails at the first difference.
 */
import '../lib/polyfill.mjs'
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import path from 'node:path'
import { lpStream } from 'it-length-prefixed-stream'
import { duplexPair } from 'it-pair/duplex'
import { generateKeyPairFromSeed, publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { parseArgs, emit, fail } from '../lib/args.mjs'
import { part } from '../lib/modules.mjs'

const { verifyPeerCertificate } = await part('@libp2p/tls/dist/src/utils.js')
const { performHandshakeInitiator, performHandshakeResponder } = await part('@chainsafe/libp2p-noise/dist/src/performHandshake.js')
const { wrapCrypto } = await part('@chainsafe/libp2p-noise/dist/src/crypto.js')
const { pureJsCrypto } = await part('@chainsafe/libp2p-noise/dist/src/crypto/js.js')

const a = parseArgs(process.argv.slice(2), { vectors: '' })
const hex = b => Buffer.from(b.subarray()).toString('hex')
const unhex = t => new Uint8Array(Buffer.from(t, 'hex'))
const silent = Object.assign(() => {}, { trace: () => {}, error: () => {}, enabled: false })
const read = async name => JSON.parse(await fs.readFile(path.join(a.vectors, name), 'utf8'))

async function names ({ peer_ids: ids, public_keys: keys, multiaddrs }) {
  for (const id of ids) {
    const key = await generateKeyPairFromSeed('Ed25519', unhex(id.seed))
    const peer = peerIdFromPrivateKey(key)
    assert.equal(hex(publicKeyToProtobuf(key.publicKey)), id.public_key)
    assert.equal(hex(peer.toMultihash().bytes), id.multihash)
    assert.equal(peer.toString(), id.base58)
    assert.equal(peer.toCID().toString(), id.cid)
    assert.ok(peerIdFromString(id.base58).equals(peer))
  }
  for (const key of keys) {
    // It has an encoding of its own for ECDSA keys.
    if (key.type !== 'ecdsa') assert.equal(hex(publicKeyToProtobuf(publicKeyFromProtobuf(unhex(key.protobuf)))), key.protobuf)
  }
  for (const one of multiaddrs) {
    assert.equal(hex(multiaddr(one.text).bytes), one.bytes)
    assert.equal(multiaddr(unhex(one.bytes)).toString(), one.text)
  }
  return ids.length + keys.length + multiaddrs.length
}

async function certificates (identity, transcripts) {
  let checked = 0
  for (const one of identity.certificates) {
    if (one.name.includes('ECDSA')) continue // as above
    const proved = await verifyPeerCertificate(unhex(one.der)).then(peer => peer.toString(), () => null)
    assert.equal(proved, one.peer ?? null, one.name)
    checked++
  }
  for (const side of [...transcripts.tcp_tls.sides, ...transcripts.quic.sides]) {
    assert.equal((await verifyPeerCertificate(unhex(side.certificate))).toString(), side.peer)
    checked++
  }
  return checked
}

/** js-libp2p's own handshake between two of itself, its keys drawn from the vector; what it writes must be the vector's. */
async function noise ({ connections }) {
  for (const one of connections) {
    const written = []
    const ends = duplexPair().map(end => lpStream(end, { lengthEncoder, lengthDecoder, maxDataLength: 65535 }))
    const sides = await Promise.all([performHandshakeInitiator, performHandshakeResponder].map(async (perform, i) => {
      const pair = secret => pureJsCrypto.generateX25519KeyPairFromSeed(unhex(secret))
      const crypto = wrapCrypto({ ...pureJsCrypto, generateX25519KeyPair: () => pair(one.ephemeral_secrets[i]) })
      const connection = {
        read: options => ends[i].read(options),
        write: (data, options) => {
          written.push(hex(lengthEncoder(data.byteLength)) + hex(data))
          return ends[i].write(data, options)
        }
      }
      const muxers = one.muxers[i]
      return perform({
        log: silent, connection, crypto, prologue: new Uint8Array(0), s: pair(one.static_secrets[i]),
        privateKey: await generateKeyPairFromSeed('Ed25519', unhex(one.device_seeds[i])),
        extensions: muxers.length ? { webtransportCerthashes: [], streamMuxers: muxers } : undefined
      })
    }))
    assert.deepEqual(written, one.handshake, one.about)
    for (const frame of one.frames) {
      if (typeof frame.plain !== 'string' || frame.plain === '') continue
      assert.equal(hex(lengthEncoder(frame.plain.length / 2 + 16)) + hex(sides[frame.from].encrypt(unhex(frame.plain))), frame.wire)
    }
  }
  return connections.length
}

function lengthEncoder (length) { return new Uint8Array([length >> 8, length & 255]) }
lengthEncoder.bytes = 2
function lengthDecoder (data) {
  if (data.length < 2) throw RangeError('Could not decode int16BE')
  return data.get?.(0) !== undefined ? (data.get(0) << 8) + data.get(1) : (data[0] << 8) + data[1]
}
lengthDecoder.bytes = 2

try {
  const identity = await read('libp2p_identity.json')
  emit('result', {
    names: await names(identity),
    certificates: await certificates(identity, await read('transcripts.json')),
    noise: await noise(await read('noise_libp2p.json'))
  })
  process.exit(0)
} catch (e) { fail(e) }
