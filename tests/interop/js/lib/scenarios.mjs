/**
 * Streams that end in every way there is. Each protocol is served here and by tests/interop/test_streams.py, and opened by both:
 *   digest  the opener writes and ends its side; then the answer is the SHA-256 of what came, in hex, and the end
 *   reset   the server resets the stream once it has read a while
 *   watch   the server reads until the end or an error, and tells which
 *   slow    as digest, but nothing is read until the server is told to
 */
import crypto from 'node:crypto'
import { echo, blocks } from './protocols.mjs'

export const DIGEST = '/digest-test/1.0.0'
export const RESET = '/reset-test/1.0.0'
export const WATCH = '/watch-test/1.0.0'
export const SLOW = '/slow-test/1.0.0'
const RESET_AFTER = 100000
const OPTIONS = { maxInboundStreams: 256, maxOutboundStreams: 256, runOnLimitedConnection: true }
const STREAM = { maxOutboundStreams: 256, runOnLimitedConnection: true }

let release
const released = new Promise(resolve => { release = resolve })

async function digest (source) {
  const hash = crypto.createHash('sha256')
  for await (const buf of source) hash.update(buf.subarray())
  return hash.digest('hex')
}

async function answerDigest (stream) {
  try {
    await stream.sink([new TextEncoder().encode(await digest(stream.source))])
  } catch (err) { stream.abort(err) }
}

/** Reads to the end or an error. */
async function watch (stream) {
  let bytes = 0
  try {
    for await (const buf of stream.source) bytes += buf.byteLength
    return { bytes, error: null }
  } catch (err) { return { bytes, error: err.name } }
}

export async function installScenarios (node, emit) {
  await node.handle(DIGEST, ({ stream }) => answerDigest(stream), OPTIONS)
  await node.handle(SLOW, async ({ stream }) => { await released; await answerDigest(stream) }, OPTIONS)
  await node.handle(WATCH, async ({ stream }) => {
    // Its own side stays open, so that only the other's end or reset ends the reading.
    const told = await watch(stream)
    if (told.error === null) await stream.close()
    emit('watched', told)
  }, OPTIONS)
  await node.handle(RESET, async ({ stream }) => {
    let bytes = 0
    for await (const buf of stream.source) {
      bytes += buf.byteLength
      if (bytes >= RESET_AFTER) break
    }
    stream.abort(new Error('as the protocol says'))
  }, OPTIONS)
}

/** What `conn` can be told to do. */
export function orders (node, conn) {
  let flooded = 0
  const open = protocol => conn.newStream(protocol, STREAM)
  const ask = async (protocol, bytes, count = () => {}) => {
    const stream = await open(protocol)
    const hash = crypto.createHash('sha256')
    await stream.sink((function * () {
      for (const block of blocks(bytes)) { hash.update(block); count(block.length); yield block }
    })())
    const answer = []
    for await (const buf of stream.source) answer.push(buf.subarray())
    const got = Buffer.concat(answer).toString()
    if (got !== hash.digest('hex')) throw new Error(`the digest of ${bytes} bytes came back as '${got}'`)
    return { bytes }
  }
  return {
    echo: async ({ bytes }) => ({ bytes: (await echo(node, conn, bytes)).bytes }),
    echoes: async ({ bytes, streams }) => {
      await Promise.all(Array.from({ length: streams }, () => echo(node, conn, bytes)))
      return { bytes, streams }
    },
    ping: async () => ({ ms: await node.services.ping.ping(conn.remotePeer) }),
    digest: ({ bytes }) => ask(DIGEST, bytes),
    // Writes to who does not read; 'flooded' tells how far it came.
    flood: ({ bytes }) => ask(SLOW, bytes, n => { flooded += n }),
    flooded: async () => ({ bytes: flooded }),
    release: async () => { release(); return {} },
    // Opens a stream that the other side resets.
    beReset: async () => {
      const stream = await open(RESET)
      const endless = (async function * () { for (;;) { yield new Uint8Array(16384); await new Promise(resolve => setImmediate(resolve)) } })()
      stream.sink(endless).catch(() => {})
      const { error } = await watch(stream)
      // Over QUIC, sink() itself may never come back.
      while (stream.timeline.close == null) await new Promise(resolve => setTimeout(resolve, 10))
      return { error }
    },
    // Opens a stream and resets it half-way.
    reset: async ({ bytes }) => {
      const stream = await open(WATCH)
      let sent = 0
      const part = new Promise(resolve => {
        stream.sink((async function * () {
          for (const block of blocks(bytes)) { sent += block.length; yield block }
          resolve()
          await new Promise(() => {})
        })()).catch(resolve)
      })
      await part
      stream.abort(new Error('told to'))
      return { bytes: sent }
    }
  }
}
