/**
 * What permissions cost, in one paired run: the same load in turn on a broker without rules, on one whose rules came and went,
 * and on brokers with 1,000 rules. Brokers on core 0, load on core 1, all but the measured one stopped.
 *
 *   node bench/permissions.ts [--rounds 7] [--seconds 1]
 *
 * What counts is CPU seconds of the broker per million deliveries, each round's as a share of that round's first broker:
 * machines drift, neighbours come and go. Prints MISSED and ends with 1 where 1,000 rules cost more than 15 % at 1:1, QoS 0.
 * Needs Linux, a C compiler and `taskset`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { buildLoad } from './load/mqload.ts'

const here = dirname(fileURLToPath(import.meta.url))
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
  },
})

const program = buildLoad()

const mine = dirname(here)
/** What the load publishes is decided by the last of a thousand rules. */
const rules = `const rule = (filter) => ({ filter, allowed: ['publish', 'subscribe'] })
  const topics = [...Array.from({ length: 999 }, (_none, i) => rule('site/' + i + '/+/state')), rule('#')]
  const patterns = [...Array.from({ length: 999 }, (_none, i) => rule('site/' + i + '/%c/state')), rule('#')]
  const access = (topics) => ({
    allowAnonymous: true,
    permissions: { default: 'deny', users: new Map([['*', { topics }]]) },
  })`
const brokers: readonly { readonly name: string; readonly after: string }[] = [
  { name: 'no rules', after: '' },
  {
    name: 'came and went',
    after: `${rules}
broker.reloadAccess(access(topics)); broker.reloadAccess({ allowAnonymous: true })`,
  },
  {
    name: '1,000 rules',
    after: `${rules}
broker.reloadAccess(access(topics))`,
  },
  {
    name: '1,000 rules with %c',
    after: `${rules}
broker.reloadAccess(access(patterns))`,
  },
]
const sharesMax = new Map([['1:1 QoS 0', 1.15]])
const shapes: readonly (readonly [string, readonly string[]])[] = [
  ['1:1 QoS 0', ['--pubs', '1', '--subs', '1', '--qos', '0']],
  ['1:20 QoS 0', ['--pubs', '1', '--subs', '20', '--qos', '0']],
  ['1:1 QoS 1', ['--pubs', '1', '--subs', '1', '--qos', '1']],
]

async function start(after: string): Promise<{ readonly port: number; readonly process: ChildProcess }> {
  const code = `
    const { createBroker } = await import(${JSON.stringify(pathToFileURL(join(mine, 'packages/broker/src/index.ts')).href)})
    const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 } })
    ${after}
    console.log((await broker.listen({ kind: 'tcp', port: 0 })).port)`
  const args = ['-c', '0', process.execPath, '--input-type=module', '-e', code]
  const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())))
    child.once('exit', () => reject(new Error(`the broker ended`)))
  })
  return { port, process: child }
}

function cpuPerMillion(port: number, pid: number, args: readonly string[]): number {
  const timing = ['--duration', options.seconds, '--warmup', '0.3', '--drain', '0.6', '--limit', '60']
  const all = ['-c', '1', program, 'pubsub', ...args, ...timing, '--target', `127.0.0.1:${port}`, '--pid', String(pid)]
  const { stdout } = spawnSync('taskset', all, { encoding: 'utf8' })
  const line = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { broker?: { cpu_s_per_mmsg: number } }
  return line.broker?.cpu_s_per_mmsg ?? Number.NaN
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const running = await Promise.all(brokers.map(({ after }) => start(after)))
for (const { process: child } of running) child.kill('SIGSTOP')
console.log('| load | broker | CPU s per million, median | share of the first, median (rounds) | |')
console.log('|---|---|---|---|---|')
for (const [shape, args] of shapes) {
  const rows = brokers.map(() => [] as number[])
  // The first round warms the compiler up and is not counted.
  for (let round = 0; round <= Number(options.rounds); round++) {
    for (const [i, { port, process: child }] of running.entries()) {
      child.kill('SIGCONT')
      const figure = cpuPerMillion(port, child.pid as number, args)
      child.kill('SIGSTOP')
      if (round > 0) rows[i]?.push(figure)
    }
  }
  for (const [i, { name }] of brokers.entries()) {
    const own = rows[i] as number[]
    const shares = own.map((figure, round) => figure / (rows[0]?.[round] as number))
    const each = shares.map((share) => share.toFixed(2)).join(' ')
    const missed = median(shares) > (sharesMax.get(shape) ?? Number.POSITIVE_INFINITY)
    if (missed) process.exitCode = 1
    const verdict = missed ? 'MISSED' : ''
    console.log(
      `| ${shape} | ${name} | ${median(own).toFixed(3)} | ${median(shares).toFixed(2)} (${each}) | ${verdict} |`,
    )
  }
}
for (const { process: child } of running) child.kill('SIGKILL')
