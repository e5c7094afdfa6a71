/** The work behind the commands of `ctl`: asks the node, prints, and sets the exit status where the answer says "refused". */
import process from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import type { ReloadReport } from '../running/reload.ts'
import { openPrompt } from '../terminal/prompt.ts'
import { askNode, type NodeChoice, type Question } from './ask-node.ts'
import * as show from './show.ts'

export interface Output {
  readonly json: boolean
}

/** Asks one question and prints the answer. */
export async function askAndShow(
  choice: NodeChoice & Output,
  question: Question,
  render: (answer: unknown) => string,
): Promise<unknown> {
  const answer = await askNode(choice, question)
  process.stdout.write(choice.json ? `${JSON.stringify(answer, null, 2)}\n` : render(answer))
  return answer
}

/** Query text of what is given. */
export function query(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  const text = new URLSearchParams(Object.fromEntries(given.map(([name, value]) => [name, String(value)]))).toString()
  return text === '' ? '' : `?${text}`
}

export async function reload(choice: NodeChoice & Output): Promise<void> {
  const answer = await askAndShow(choice, { method: 'POST', path: '/v1/reload' }, show.showReload)
  if ((answer as ReloadReport).parts.some(({ outcome }) => outcome === 'refused'))
    process.exitCode = ExitCode.configuration
}

/** Status 1 where the answer is no. */
export async function testPermission(
  choice: NodeChoice & Output,
  question: Readonly<Record<string, string>>,
): Promise<void> {
  const path = `/v1/permission${query(question)}`
  const answer = await askAndShow(choice, { method: 'GET', path }, (given) => (given as { readonly text: string }).text)
  if (!(answer as { readonly allowed: boolean }).allowed) process.exitCode = ExitCode.failed
}

export async function setAccount(choice: NodeChoice & Output, name: string): Promise<void> {
  // Asked first: nobody should type a password for a node that does not run.
  await askNode(choice, { method: 'GET', path: '/v1/state' })
  const password = await readPassword()
  await askAndShow(
    choice,
    { method: 'PUT', path: `/v1/accounts/${encodeURIComponent(name)}`, body: { password } },
    (answer) =>
      `${(answer as { replaced: boolean }).replaced ? 'Gave a new password to' : 'Added'} account "${name}", in force now\n`,
  )
}

async function readPassword(): Promise<string> {
  const prompt = openPrompt()
  try {
    for (;;) {
      const password = await prompt.askSecret('Password: ')
      if (password === '') throw new CommandError(ExitCode.usage, 'An empty password is none; nothing was changed')
      if (!prompt.interactive || (await prompt.askSecret('Password again: ')) === password) return password
      process.stderr.write('The two passwords differ; try again\n')
    }
  } finally {
    prompt.close()
  }
}

const lookAgainMs = 300
/** Beyond the time over which connections are ended: the stop itself. */
const stopMsMax = 60_000

/** Resolves when the node is gone. */
export async function drain(
  choice: NodeChoice & Output,
  { over, serverReference }: { readonly over: number; readonly serverReference: string | undefined },
): Promise<void> {
  await askAndShow(
    choice,
    { method: 'POST', path: '/v1/drain', body: { over, ...(serverReference !== undefined && { serverReference }) } },
    (answer) => {
      const { clients } = answer as { readonly clients: number }
      return `No new connections; ending ${clients} over ${over} s, then the node stops\n`
    },
  )
  const endMs = Date.now() + over * 1_000 + stopMsMax
  while (Date.now() < endMs) {
    try {
      await askNode(choice, { method: 'GET', path: '/v1/state' })
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === ExitCode.unavailable) {
        if (!choice.json) process.stdout.write('The node has stopped\n')
        return
      }
      throw error
    }
    await wait(lookAgainMs)
  }
  throw new CommandError(ExitCode.failed, 'The node has not stopped in time')
}
