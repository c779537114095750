#!/usr/bin/env node
/** dialer.mjs against listener.mjs over each transport: one JSON line for each, with the figures of every run. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import path from 'node:path'
import { parseArgs } from '../lib/args.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const a = parseArgs(process.argv.slice(2), { mib: 256, runs: 3, pings: 2000 })
const start = (file, args) => spawn(process.execPath, [path.join(here, file), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
const lines = text => text.trim().split('\n').map(line => JSON.parse(line))

function run (args) {
  return new Promise((resolve, reject) => {
    const child = start('dialer.mjs', args)
    let text = ''
    child.stdout.on('data', data => { text += data })
    child.on('error', reject)
    child.on('close', () => {
      const all = lines(text)
      resolve(all.find(line => line.event === 'result') ?? all.at(-1))
    })
  })
}

const listener = start('listener.mjs', ['--listen', '/ip4/127.0.0.1/udp/0/quic-v1', '--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/tcp/0/ws'])
const addrs = await new Promise((resolve, reject) => {
  let text = ''
  listener.on('exit', code => reject(new Error(`the listener ended with ${code}: ${text}`)))
  listener.stdout.on('data', data => {
    text += data
    const ready = text.split('\n').slice(0, -1).find(line => line.includes('"ready"'))
    if (ready) resolve(JSON.parse(ready).addrs)
  })
})

function casesOf (address) {
  if (address.includes('/quic')) return [['noise', 'quic-v1']]
  if (address.includes('/ws')) return [['noise', 'ws+noise+yamux']]
  return [['noise', 'tcp+noise+yamux'], ['tls', 'tcp+tls+yamux']]
}

const bytes = String(a.mib * 1048576)
const round = value => Math.round(value * 1000) / 1000
for (const address of addrs) {
  for (const [security, name] of casesOf(address)) {
    const results = []
    for (let i = 0; i < a.runs; i++) {
      results.push(await run(['--dial', address, '--security', security, '--pings', String(a.pings), '--echo', '0', '--up', bytes, '--down', bytes, '--timeout', '300000']))
    }
    console.log(JSON.stringify({
      name,
      error: results.find(result => result.event === 'error')?.message,
      up: results.map(result => round(result.up?.MiBps)),
      down: results.map(result => round(result.down?.MiBps)),
      pingMedianMs: results.map(result => round(result.pingMs?.median)),
      dialMs: results.map(result => round(result.dialMs))
    }))
  }
}
listener.removeAllListeners('exit')
listener.kill('SIGTERM')
