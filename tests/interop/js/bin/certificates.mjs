#!/usr/bin/env node
/**
 * Reads vectors/transcripts.json (--file FILE) and lets js-libp2p's TLS verify every certificate in it. One JSON result
 * line: the peer ids that they prove.
 */
import '../lib/polyfill.mjs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs, emit, fail } from '../lib/args.mjs'

const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'node_modules')
const { verifyPeerCertificate } = await import(pathToFileURL(path.join(modules, '@libp2p/tls/dist/src/utils.js')).href)

const a = parseArgs(process.argv.slice(2), { file: '' })
try {
  const { tcp_tls: tls, quic } = JSON.parse(await fs.readFile(a.file, 'utf8'))
  const peers = []
  for (const side of [...tls.sides, ...quic.sides]) {
    peers.push((await verifyPeerCertificate(Buffer.from(side.certificate, 'hex'))).toString())
  }
  emit('result', { peers })
} catch (e) { fail(e) }
