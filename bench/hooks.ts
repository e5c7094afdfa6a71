/**
 * What hooks cost, in one paired run: the same load in turn on a broker without hooks, on one whose hooks were added and
 * removed again, and on one that uses a point of each kind. With `--against CHECKOUT` also on the broker of another checkout,
 * such as one of an older commit. Brokers on core 0, load on core 1, all but the measured one stopped.
 *
 *   node bench/hooks.ts [--rounds 5] [--seconds 1] [--against CHECKOUT]
 *
 * What counts is CPU seconds of the broker per million deliveries, each round's as a share of that round's first broker:
 * machines drift, neighbours come and go. Needs Linux, a C compiler and `taskset`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { buildLoad } from './load/mqload.ts'

const here = dirname(fileURLToPath(import.meta.url))
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    against: { type: 'string' },
  },
})

const program = buildLoad()

const mine = dirname(here)
const brokers: readonly { readonly name: string; readonly checkout: string; readonly after: string }[] = [
  ...(options.against === undefined ? [] : [{ name: 'other checkout', checkout: options.against, after: '' }]),
  { name: 'no hooks', checkout: mine, after: '' },
  {
    name: 'added and removed',
    checkout: mine,
    after: `broker.addHooks({ authorizePublish: () => true, authorizeDelivery: () => true, delivered() {} })()`,
  },
  { name: 'authorizePublish', checkout: mine, after: `broker.addHooks({ authorizePublish: () => true })` },
  { name: 'authorizeDelivery', checkout: mine, after: `broker.addHooks({ authorizeDelivery: () => true })` },
  { name: 'published', checkout: mine, after: `broker.addHooks({ published() {} })` },
]
const shapes: readonly (readonly [string, readonly string[]])[] = [
  ['1:1 QoS 0', ['--pubs', '1', '--subs', '1', '--qos', '0']],
  ['1:20 QoS 0', ['--pubs', '1', '--subs', '20', '--qos', '0']],
  ['1:1 QoS 1', ['--pubs', '1', '--subs', '1', '--qos', '1']],
]

async function start(
  checkout: string,
  after: string,
): Promise<{ readonly port: number; readonly process: ChildProcess }> {
  const code = `
    const { createBroker } = await import(${JSON.stringify(pathToFileURL(join(checkout, 'packages/broker/src/index.ts')).href)})
    const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 } })
    ${after}
    console.log((await broker.listen({ kind: 'tcp', port: 0 })).port)`
  const args = ['-c', '0', process.execPath, '--input-type=module', '-e', code]
  const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())))
    child.once('exit', () => reject(new Error(`the broker of ${checkout} ended`)))
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

const running = await Promise.all(brokers.map(({ checkout, after }) => start(checkout, after)))
for (const { process: child } of running) child.kill('SIGSTOP')
console.log('| load | broker | CPU s per million, median | share of the first, median (rounds) |')
console.log('|---|---|---|---|')
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
    console.log(`| ${shape} | ${name} | ${median(own).toFixed(3)} | ${median(shares).toFixed(2)} (${each}) |`)
  }
}
for (const { process: child } of running) child.kill('SIGKILL')
