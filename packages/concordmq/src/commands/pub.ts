/** `concordmq pub`: publishes, with the flags of the stock client. */
import type { Command } from 'commander'
import type { PubFlags } from '../messaging/flags.ts'
import { withClientFlags } from './client-options.ts'

export function addPub(program: Command): void {
  withClientFlags(program.command('pub'))
    .description('publish a message')
    .option('-t, --topic <TOPIC>', 'topic name')
    .option('-m, --message <PAYLOAD>', 'payload')
    .option('-f, --file <FILE>', 'payload: the contents of a file')
    .option('-n, --null-message', 'empty payload; with -r it removes a retained message')
    .option('-l, --stdin-line', 'a message for each line of standard input')
    .option('-s, --stdin-file', 'payload: all of standard input')
    .option('-q, --qos <QOS>', '0, 1 or 2 (default: 0)')
    .option('-r, --retain', 'let the server keep it for later subscribers')
    .option('--repeat <COUNT>', 'publish it so many times')
    .option('--repeat-delay <SECONDS>', 'wait between two of them')
    .action(async (flags: PubFlags) => {
      const { publishMessages } = await import('../messaging/publish-messages.ts')
      await publishMessages(flags)
    })
}
