/** `concordmq address-book from-range|from-list`: keys and address book of a new cluster (rows F9, F11 to F13). */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { defaultDirectory } from '../config/flags.ts'
import { type LogFormat, logFormats } from '../log/entry.ts'

interface BookFlags {
  readonly outputDir: string
  readonly operators: number
  readonly threshold: number
  readonly force?: true
  readonly log?: LogFormat
}

export function addAddressBook(program: Command): void {
  const book = program.command('address-book').description('make the keys and the address book of a cluster')
  withFlags(book.command('from-range'))
    .description('one node for each port of a range, for several nodes on one machine')
    .argument('<IP>', 'address of all nodes')
    .argument('<FIRST>', 'first port')
    .argument('<LAST>', 'last port, included')
    .action(async (ip: string, first: string, last: string, options: BookFlags) => {
      const { addressesOfRange, makeAddressBook } = await import('../identity/make-address-book.ts')
      makeAddressBook(addressesOfRange(ip, first, last), await output(options))
    })
  withFlags(book.command('from-list'))
    .description('one node for each address')
    .argument('<ADDR...>', 'HOST:PORT of every node')
    .action(async (addresses: string[], options: BookFlags) => {
      const { addressesOfList, makeAddressBook } = await import('../identity/make-address-book.ts')
      makeAddressBook(addressesOfList(addresses), await output(options))
    })
  book
    .command('key')
    .description('one key, for a node that is to be added to a cluster that runs')
    .argument('<FILE>', 'where the key goes, in PEM')
    .option('-f, --force', 'overwrite an existing file')
    .addOption(new Option('-l, --log <FORMAT>', 'report in log lines of this format').choices(logFormats))
    .action(async (file: string, { force, log }: Pick<BookFlags, 'force' | 'log'>) => {
      const { makeNodeKey } = await import('../identity/make-address-book.ts')
      const { openSay } = await import('../terminal/say.ts')
      makeNodeKey(file, { force: force === true, say: await openSay(log) })
    })
}

function withFlags(command: Command): Command {
  return command
    .option('-O, --output-dir <DIR>', 'where the files go', defaultDirectory)
    .option('--operators <N>', 'make so many keys of operators, who can change the cluster while it runs', readCount, 0)
    .option('--threshold <N>', 'how many of them must sign a change', readCount, 1)
    .option('-f, --force', 'overwrite existing files')
    .addOption(new Option('-l, --log <FORMAT>', 'report in log lines of this format').choices(logFormats))
}

function readCount(text: string): number {
  if (!/^\d{1,2}$/.test(text) || Number(text) > 31) throw new InvalidArgumentError('Give a number up to 31.')
  return Number(text)
}

async function output({ outputDir, operators, threshold, force, log }: BookFlags) {
  const { openSay } = await import('../terminal/say.ts')
  return {
    directory: outputDir,
    operators,
    threshold: Math.max(1, threshold),
    force: force === true,
    say: await openSay(log),
  }
}
