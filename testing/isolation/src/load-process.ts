/**
 * Runs one load: `node load-process.ts NAME CONTEXT`. Says `ready` when all of it is there, stops when it is told anything,
 * answers with what it saw, and ends with the channel.
 */
import { setPriority } from 'node:os'
import process from 'node:process'
import { loads } from './loads/all.ts'
import type { LoadContext } from './loads/load.ts'

const [name = '', context = ''] = process.argv.slice(2)
const load = loads[name]
if (load === undefined) throw new Error(`No load has the name "${name}"`)
setPriority(19)
const running = await load.start(JSON.parse(context) as LoadContext)
process.on('message', () => {
  void (async () => process.send?.(await running.stop()))()
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
