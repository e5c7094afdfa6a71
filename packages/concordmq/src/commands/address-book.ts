/** `concordmq address-book from-range|from-list`: keys and address book of a new cluster (rows F9, F11 to F13). */
import { type Command, Option } from 'commander'
import { defaultDirectory } from '../config/flags.ts'
import { type LogFormat, logFormats } from '../log/entry.ts'

interface BookFlags {
  readonly outputDir: string
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
}

function withFlags(command: Command): Command {
  return command
    .option('-O, --output-dir <DIR>', 'where the files go', defaultDirectory)
    .option('-f, --force', 'overwrite existing files')
    .addOption(new Option('-l, --log <FORMAT>', 'report in log lines of this format').choices(logFormats))
}

async function output({ outputDir, force, log }: BookFlags) {
  const { openSay } = await import('../terminal/say.ts')
  return { directory: outputDir, force: force === true, say: await openSay(log) }
}
