/**
 * Which machines of a network are there, told over MQTT: a broker inside a program, and a client of it. After SurgeMQ's example
 * of the same name.
 *
 *   node examples/pingmq/pingmq.ts server -u tcp://127.0.0.1:5836 -p 127.0.0.0/29 -i 60
 *   node examples/pingmq/pingmq.ts client -s mqtt://127.0.0.1:5836 -t '/ping/failure/+'
 *
 * Each result is a JSON object, published to `/ping/success/IP` or `/ping/failure/IP` and retained, so that a client that comes
 * later hears at once how things stand.
 */
import process from 'node:process'
import { parseArgs } from 'node:util'
import { type Broker, createBroker } from '@concordmq/broker'
import { connect } from '@concordmq/client'
import { addressesOf } from './addresses.ts'
import { type Pong, ping } from './ping.ts'

const usage = `Usage: pingmq server [-u URL] -p RANGE [-p RANGE …] [-i SECONDS] [--port PORT] [-q]
       pingmq client [-s URL] [-t FILTER …]
`
/** Machines asked at once. */
const pingsMax = 64
const timeoutMs = 1_000

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    /** Where the broker listens. */
    url: { type: 'string', short: 'u', default: 'tcp://127.0.0.1:5836' },
    range: { type: 'string', short: 'p', multiple: true, default: [] },
    /** Seconds from one round to the next. */
    interval: { type: 'string', short: 'i', default: '60' },
    /** TCP port that is asked. */
    port: { type: 'string', default: '80' },
    quiet: { type: 'boolean', short: 'q', default: false },
    server: { type: 'string', short: 's', default: 'mqtt://127.0.0.1:5836' },
    filter: { type: 'string', short: 't', multiple: true, default: ['/ping/failure/+'] },
  },
})

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
if (positionals[0] === 'server' && values.range.length > 0) await serve()
else if (positionals[0] === 'client') await listen()
else {
  process.stderr.write(usage)
  process.exitCode = 64
}

async function serve(): Promise<void> {
  const addresses = values.range.flatMap(addressesOf)
  const broker = await createBroker({
    access: { allowAnonymous: true },
    // Whoever listens does not publish.
    hooks: [{ name: 'pingmq', authorizePublish: () => false }],
  })
  const { address } = await broker.listen(values.url)
  say(`MQTT on ${address}; ${addresses.length} addresses every ${values.interval} s`)
  while (!stop.signal.aborted) {
    await round(broker, addresses)
    await pause(Number(values.interval) * 1000)
  }
  await broker.close({ graceMs: 1_000 })
}

/** Asks all addresses once, several at a time. */
async function round(broker: Broker, addresses: readonly string[]): Promise<void> {
  const left = addresses.values()
  const lane = async (): Promise<void> => {
    for (const ip of left) {
      if (stop.signal.aborted) return
      await tell(broker, await ping(ip, { port: Number(values.port), timeoutMs }))
    }
  }
  await Promise.all(Array.from({ length: pingsMax }, lane))
}

async function tell(broker: Broker, pong: Pong): Promise<void> {
  const [now, no] = pong.alive ? ['success', 'failure'] : ['failure', 'success']
  await broker.publish({ topic: `/ping/${now}/${pong.ip}`, payload: JSON.stringify(pong), qos: 1, retain: true })
  // What was retained about the machine before says the opposite.
  await broker.publish({ topic: `/ping/${no}/${pong.ip}`, payload: '', retain: true })
  say(pong.alive ? `${pong.ip} is there, ${pong.rttMs} ms` : `${pong.ip} does not answer: ${pong.error}`)
}

async function listen(): Promise<void> {
  const client = await connect(values.server)
  for (const filter of values.filter) {
    await client.subscribe(filter, { qos: 1 }, ({ topic, payload }) => {
      if (payload.length > 0) process.stdout.write(`${topic} ${Buffer.from(payload).toString()}\n`)
    })
  }
  const { promise: stopped, resolve } = Promise.withResolvers<void>()
  stop.signal.addEventListener('abort', () => resolve())
  await stopped
  await client.disconnect()
}

function say(line: string): void {
  if (!values.quiet) process.stdout.write(`${line}\n`)
}

async function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  stop.signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(timer)
}
