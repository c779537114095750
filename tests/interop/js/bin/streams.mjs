#!/usr/bin/env node
/**
 * One connection, dialed (--dial MA) or taken (--listen MA), and what it is told to do on it: a JSON object per line on stdin, as
 * {"do": NAME, ...}, answered in any order by {"event": NAME, ...}. The protocols are in lib/scenarios.mjs.
 */
import readline from 'node:readline'
import { multiaddr } from '@multiformats/multiaddr'
import { parseArgs, emit, fail } from '../lib/args.mjs'
import { makeNode, addrsOf, describeConnection } from '../lib/node.mjs'
import { installEcho } from '../lib/protocols.mjs'
import { installScenarios, orders } from '../lib/scenarios.mjs'

const a = parseArgs(process.argv.slice(2), { listen: '', dial: '', security: 'both' })
try {
  const node = await makeNode({ listen: a.listen ? [a.listen] : [], security: a.security })
  await installEcho(node)
  await installScenarios(node, emit)
  const first = new Promise(resolve => node.addEventListener('connection:open', e => resolve(e.detail), { once: true }))
  if (a.dial) await node.dial(multiaddr(a.dial))
  else emit('ready', { peerId: node.peerId.toString(), addrs: addrsOf(node) })
  const conn = await first
  emit('connected', describeConnection(conn))
  const known = orders(node, conn)
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: name, ...options } = JSON.parse(line)
    // Not awaited: two orders may run at once.
    known[name](options).then(told => emit(name, told), fail)
  }
} catch (e) { fail(e) }
