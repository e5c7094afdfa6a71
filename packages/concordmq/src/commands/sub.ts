/** `concordmq sub`: subscribes and prints, with the flags of the stock client. */
import type { Command } from 'commander'
import type { SubFlags } from '../messaging/flags.ts'
import { withClientFlags } from './client-options.ts'

export function addSub(program: Command): void {
  withClientFlags(program.command('sub'))
    .description('subscribe and print what comes')
    .option('-t, --topic <FILTER>', 'topic filter; may be repeated', append)
    .option('-T, --filter-out <FILTER>', 'do not print messages of this filter; may be repeated', append)
    .option('-U, --unsubscribe <FILTER>', 'unsubscribe first, from a kept session; may be repeated', append)
    .option('-q, --qos <QOS>', 'highest QoS (default: 0)')
    .option('-C, --count <COUNT>', 'end after so many messages')
    .option('-W, --timeout <SECONDS>', 'end with exit code 27 after so long')
    .option('-F, --format <FORMAT>', 'how to print: %t topic, %p payload, %j all as JSON, … (docs/guide/client.md)')
    .option('-N, --no-eol', 'no end of line after a message')
    .option('-v, --verbose', 'print the topic too')
    .option('-E, --exit-after-subscribe', 'end when the subscriptions are granted')
    .option('-R, --no-stale', 'do not print retained messages')
    .option('--retained-only', 'print retained messages, end with the first other one')
    .option('--remove-retained', 'remove the retained messages that come')
    .option('--retain-as-published', 'keep the retain flag of the publisher (5.0)')
    .option('--retain-handling <WHEN>', 'retained messages: always, new or never (5.0)')
    .action(async (flags: SubFlags) => {
      const { receiveMessages } = await import('../messaging/receive-messages.ts')
      await receiveMessages(flags)
    })
}

function append(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value]
}
