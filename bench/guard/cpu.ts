/**
 * CPU of the broker per message, as a ratio to that of `reference.ts` under the same load. Both run all the time, and take
 * turns of a fraction of a second; the median of the ratios of neighbouring turns hardly knows what else the machine does.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startBroker } from '../../testing/testkit/src/broker-process.ts'
import { median } from '../figures/samples.ts'
import { runLoad } from '../load/mqload.ts'
import { accepts, freePort } from '../ports.ts'

export interface CpuRatio {
  readonly scenario: string
  readonly ratio: number
  readonly rounds: readonly number[]
}

/** A number of messages, not a time: both have the same to do, however busy the machine is. */
const scenarios: Readonly<Record<string, readonly string[]>> = {
  '1:1, QoS 0': ['--qos', '0', '--count', '1500000'],
  '1:20, QoS 0': ['--qos', '0', '--subs', '20', '--count', '200000'],
  '1:1, QoS 1': ['--qos', '1', '--count', '250000'],
  '1:20, QoS 1': ['--qos', '1', '--subs', '20', '--count', '50000'],
  '1:1, QoS 2': ['--qos', '2', '--count', '120000'],
}
const readyTriesMax = 400

/** The first round warms both up, and does not count. Rejects where messages are lost: then there is nothing to compare. */
export async function cpuRatios(rounds: number, directory: string): Promise<readonly CpuRatio[]> {
  await using broker = await startBroker({ directory, flags: ['--allow-anonymous-login', '--durability', 'memory'] })
  const port = await freePort()
  const reference = spawn(process.execPath, [fileURLToPath(new URL('reference.ts', import.meta.url)), String(port)], {
    stdio: 'ignore',
  })
  try {
    await listens(port, reference)
    const found = new Map<string, number[]>()
    for (let round = 0; round <= rounds; round++) {
      for (const [name, args] of Object.entries(scenarios)) {
        // Who comes first changes with each round.
        const order = [
          { port: broker.target.port, pid: broker.pid },
          { port, pid: reference.pid as number },
        ]
        if (round % 2 === 1) order.reverse()
        const used = new Map<number, number>()
        for (const program of order) used.set(program.pid, await cpuPerMessage(program, args, `${name}/${round}`))
        const ratio = (used.get(broker.pid) as number) / (used.get(reference.pid as number) as number)
        if (round > 0) found.set(name, [...(found.get(name) ?? []), ratio])
      }
    }
    return [...found].map(([scenario, ratios]) => ({ scenario, ratio: median(ratios), rounds: ratios }))
  } finally {
    reference.kill('SIGKILL')
  }
}

async function cpuPerMessage(
  { port, pid }: { readonly port: number; readonly pid: number },
  args: readonly string[],
  what: string,
): Promise<number> {
  const settings = ['--target', `127.0.0.1:${port}`, '--pid', String(pid), '--settle', '0.02', '--limit', '30']
  const report = await runLoad(['pubsub', ...settings, ...args])
  if (report['exit'] !== 0 || (report['lost'] ?? 1) > 0) throw new Error(`${what}: ${JSON.stringify(report)}`)
  return report['broker.cpu_s_per_mmsg'] as number
}

async function listens(port: number, process: ChildProcess): Promise<void> {
  for (let tries = 0; tries < readyTriesMax; tries++) {
    if (await accepts(port)) return
    if (process.exitCode !== null) break
    await after(25)
  }
  throw new Error('The reference program does not listen')
}
