/**
 * Small parts alone: time and bytes allocated for one go.
 *
 *   node bench/micro.ts [--only TEXT] [--stretches 9]
 *
 * CPU time is the median of so many stretches, after as many to warm up. Bytes are exact where nothing was collected during a
 * stretch, which a young generation of 512 MiB sees to; those of buffers are beside those of objects.
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { getHeapStatistics } from 'node:v8'
import { median } from './figures/samples.ts'
import { nodeFlags } from './guard/allocations.ts'
import { cases, type MicroCase } from './micro/cases.ts'

const { values: options } = parseArgs({
  options: { only: { type: 'string', default: '' }, stretches: { type: 'string', default: '9' } },
})

if (process.execArgv.length === 0) {
  const { status } = spawnSync(process.execPath, [...nodeFlags, ...process.argv.slice(1)], { stdio: 'inherit' })
  process.exit(status ?? 1)
}
console.log('| what | ns | bytes of objects | bytes of buffers |')
console.log('|---|---|---|---|')
for (const each of cases.filter(({ name }) => name.includes(options.only))) measure(each)

function measure({ name, times, prepare }: MicroCase): void {
  const work = prepare()
  const stretches = Number(options.stretches)
  for (let i = 0; i < stretches; i++) work(times)
  const found: { readonly ns: number; readonly heap: number; readonly external: number }[] = []
  for (let i = 0; i < stretches; i++) {
    globalThis.gc?.({ type: 'minor' })
    const before = getHeapStatistics()
    const begun = process.cpuUsage()
    work(times)
    const { user, system } = process.cpuUsage(begun)
    const after = getHeapStatistics()
    found.push({
      ns: ((user + system) * 1_000) / times,
      heap: (after.used_heap_size - before.used_heap_size) / times,
      external: (after.external_memory - before.external_memory) / times,
    })
  }
  const of = (figure: 'ns' | 'heap' | 'external'): string => median(found.map((each) => each[figure])).toFixed(1)
  console.log(`| ${name} | ${of('ns')} | ${of('heap')} | ${of('external')} |`)
}
