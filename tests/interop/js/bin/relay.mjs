#!/usr/bin/env node
/** A relay (Circuit Relay v2), which also echoes. Prints {"event":"ready",...} with its multiaddrs. */
import { parseArgs, emit, fail } from '../lib/args.mjs'
import { makeNode, addrsOf } from '../lib/node.mjs'
import { installEcho } from '../lib/protocols.mjs'

const a = parseArgs(process.argv.slice(2), { listen: [], security: 'both', reservations: 128, seed: '' })
try {
  const node = await makeNode({
    listen: a.listen, security: a.security, relayServer: true, relayMaxReservations: a.reservations, seed: a.seed
  })
  await installEcho(node)
  emit('ready', { peerId: node.peerId.toString(), addrs: addrsOf(node) })
  const stop = async () => { await node.stop(); process.exit(0) }
  process.on('SIGTERM', stop); process.on('SIGINT', stop)
} catch (e) { fail(e) }
