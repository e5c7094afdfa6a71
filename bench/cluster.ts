/**
 * The figures of a cluster of processes, four unless told otherwise, on one machine, which they share with the load.
 *
 *   node bench/cluster.ts [--only NAME,…] [--nodes 4] [--seconds 5] [--transport quic|tls|auto] [--json FILE]
 *
 * | idle | CPU of a node while nobody publishes |
 * | single | one message into an idle cluster, from PUBLISH at node 0 to its delivery at node 1 |
 * | light | 100 messages a second, to a subscriber at the same node and to one at another, with any number of nodes |
 * | paced | 1,000 messages of 64 bytes a second, QoS 1, from node 0 to node 1 |
 * | fast, sealed | the same two on a topic that skips the order; one sealed message |
 * | saturated | a publisher and a subscriber at each node, QoS 1, 64 bytes, as fast as it goes, all in one order |
 * | connects, down, behind | a storm of 10,000 connects; a node that is down; one that comes back a million messages behind |
 * | overload | three times what it can order, for a minute; only where it is named |
 * | memory | 2,000 messages a second for so many seconds; only where it is named |
 *
 * Needs Linux and a C compiler. Bars are those of four nodes on two cores that do nothing else; the load average is printed for that.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startCluster } from '../testing/testkit/src/cluster-process.ts'
import { idle, light, paced, saturated, single } from './cluster/sound.ts'
import { type Row, type Scenario, served } from './cluster/tools.ts'
import { behind, connects, down, memory, overload } from './cluster/trouble.ts'
import { fast, sealed, waysEnvironment } from './cluster/ways.ts'

const scenarios = new Map<string, Scenario>(
  Object.entries({ idle, single, light, paced, fast, sealed, saturated, connects, down, behind, overload, memory }),
)

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'idle,single,light,paced,fast,sealed,saturated,connects,down,behind' },
    nodes: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '5' },
    transport: { type: 'string', default: 'auto' },
    json: { type: 'string' },
  },
})
const seconds = Number(options.seconds)
const nodes = Number(options.nodes)
const rows: Row[] = []
const samples: Record<string, unknown> = { loadBefore: loadavg() }
const directory = mkdtempSync(join(tmpdir(), 'concordmq-bench-cluster-'))
try {
  const flags = ['--cluster-transport', options.transport]
  await using cluster = await startCluster({ nodes, directory, flags, environment: waysEnvironment })
  for (const node of cluster.alive) await served(cluster, node)
  for (const name of options.only.split(',')) {
    const scenario = scenarios.get(name)
    if (scenario === undefined)
      throw new Error(`There is no scenario ${name}: there are ${[...scenarios.keys()].join(', ')}`)
    const row = await scenario({ cluster, directory, seconds, samples })
    rows.push(row)
    console.error(`${row.what}: ${row.value}`)
  }
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}
samples['loadAfter'] = loadavg()

console.log(
  `# ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, ${options.transport}, load ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`,
)
console.log('| what | measured | bar | |')
console.log('|---|---|---|---|')
for (const { what, value, bar, ok } of rows) console.log(`| ${what} | ${value} | ${bar} | ${ok ? 'ok' : 'MISSED'} |`)
if (options.json !== undefined) {
  const here = dirname(fileURLToPath(import.meta.url))
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).trim()
  const machine = `${cpus().length} cores, ${cpus()[0]?.model}`
  const date = new Date().toISOString().slice(0, 10)
  writeFileSync(
    options.json,
    `${JSON.stringify({ date, commit, machine, node: process.versions.node, rows, samples }, null, 1)}\n`,
  )
}
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1
