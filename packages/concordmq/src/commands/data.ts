/** `concordmq data check|repair|export|import`: the kept data of a node that does not run. */
import type { Command } from 'commander'
import { defaultDirectory } from '../config/flags.ts'

interface PlaceFlags {
  readonly dataDir?: string
}

export function addData(program: Command): void {
  const data = program.command('data').description('look into the kept data of a node that does not run; repair, move')
  withPlace(data.command('check'))
    .description('read all that a start would read; say what is there and what is damaged; change nothing')
    .option('--json', 'as JSON')
    .action(async (directory: string, { dataDir, json }: PlaceFlags & { readonly json?: true }) => {
      const { checkNodeData } = await work()
      await checkNodeData({ directory, dataDir }, { json: json === true })
    })
  withPlace(data.command('repair'))
    .description('give up exactly what is damaged, after a copy is made')
    .option('--backup <DIR>', 'where the copy goes (default: beside the directory)')
    .option('--yes', 'do not ask')
    .action(
      async (
        directory: string,
        { dataDir, backup, yes }: PlaceFlags & { readonly backup?: string; readonly yes?: true },
      ) => {
        const { repairNodeData } = await work()
        await repairNodeData({ directory, dataDir }, { backup, asked: yes !== true })
      },
    )
  withPlace(data.command('export'))
    .description('write sessions, queues, retained messages and wills as lines of JSON')
    .option('-o, --out <FILE>', 'the file; "-" is standard output', '-')
    .action(async (directory: string, { dataDir, out }: PlaceFlags & { readonly out: string }) => {
      const { exportNodeData } = await work()
      await exportNodeData({ directory, dataDir }, out)
    })
  withPlace(data.command('import').argument('<FILE>', 'what `data export` wrote; "-" is standard input'))
    .description('take an export into a node that has no data yet')
    .option('--merge', 'also into one that has data; what both have is as the export has it')
    .action(async (file: string, directory: string, { dataDir, merge }: PlaceFlags & { readonly merge?: true }) => {
      const { importNodeData } = await work()
      await importNodeData({ directory, dataDir }, { file, merge: merge === true })
    })
}

function withPlace(command: Command): Command {
  return command
    .argument('[DIRECTORY]', 'configuration directory, or the data directory itself', defaultDirectory)
    .option('--data-dir <DIR>', 'the data directory (default: as `run` finds it)')
}

async function work() {
  return await import('../data/data-commands.ts')
}
