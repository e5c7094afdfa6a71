/**
 * What rude crowds cost healthy clients, as a table.
 *
 *     npm run isolation -w @concordmq/isolation -- [--only NAME,NAME] [--rounds 5] [--seconds 5] [--rate 500] [--scale 1]
 *                                                  [--niceness=-15] [--json FILE]
 *
 * Exits 1 where the healthy clients' p99 under load is more than twice the quiet one, or one of them loses a message or its
 * connection.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { loads } from './loads/all.ts'
import { type Measured, measure } from './measure.ts'

const ratioMax = 2

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(loads).join(',') },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '500' },
    scale: { type: 'string', default: '1' },
    niceness: { type: 'string', default: '0' },
    json: { type: 'string' },
  },
})

const results: Measured[] = []
for (const name of values.only.split(',')) {
  results.push(
    await measure({
      name,
      rounds: Number(values.rounds),
      phaseMs: Number(values.seconds) * 1_000,
      perSecond: Number(values.rate),
      scale: Number(values.scale),
      ...(values.niceness === '0' ? {} : { niceness: Number(values.niceness) }),
      say: (line) => console.error(line),
    }),
  )
}

console.log(
  `# ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${values.rate} healthy messages/s,`,
)
console.log(`# ${values.rounds} rounds of ${values.seconds} s quiet, loaded, quiet; lower quartiles of the p99s`)
console.log('| load | p99 quiet | p99 loaded | ratio | lost | resident before, most | broker CPU | |')
console.log('|---|---|---|---|---|---|---|---|')
for (const one of results) {
  const good = one.ratio <= ratioMax && one.lost === 0 && one.closed === 0 && one.errors.length === 0
  if (!good) process.exitCode = 1
  const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(0)} MiB`
  console.log(
    `| ${one.about} | ${one.quietP99.toFixed(2)} ms | ${one.loadedP99.toFixed(2)} ms | ${one.ratio.toFixed(2)} | ${one.lost} | ${mib(one.residentBytesBefore)}, ${mib(one.residentBytesMax)} | ${(one.cpuShare * 100).toFixed(0)} % | ${good ? 'ok' : 'MISSED'} |`,
  )
  for (const error of one.errors) console.log(`  ${error}`)
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, null, 1))
