/**
 * A program that embeds the broker with a hook that does not answer for some clients: `blocked…` may connect, and what they
 * publish waits for ever; `undecided…` wait with their CONNECT. It is started like `concordmq run` and logs as much of what
 * that logs as `BrokerProcess` reads.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { createBroker, type Verdict } from '@concordmq/broker'

const directory = process.argv[process.argv.indexOf('run') + 1] ?? '.'
const users = new Map<string, string>()
for (const match of readFileSync(join(directory, 'users.toml'), 'utf8').matchAll(
  /\[users\.(\w+)\]\s+password-hash = "(.+)"/gu,
)) {
  users.set(match[1] as string, match[2] as string)
}
const never = new Promise<Verdict>(() => {})

const broker = await createBroker({
  access: { allowAnonymous: true, users },
  embedding: { hookTimeoutMs: 60_000 },
  hooks: [
    {
      name: 'blocking',
      authorizePublish: (client) => (client.clientId.startsWith('blocked') ? never : 'ignore'),
      authorizeConnect: (client) => (client.clientId.startsWith('undecided') ? never : 'ignore'),
    },
  ],
})

function say(event: string, fields: Readonly<Record<string, string>> = {}): void {
  process.stdout.write(`${JSON.stringify({ level: 'INFO', fields: { event, ...fields } })}\n`)
}

const unix = process.argv[process.argv.indexOf('--unix') + 1]
for (const transport of ['tcp', 'ws'] as const) {
  const { address } = await broker.listen({ kind: transport, host: '127.0.0.1', port: 0 })
  say('listener.open', { transport, listen_addr: address })
}
if (unix !== undefined) await broker.listen({ kind: 'unix', path: unix })
say('node.started')
