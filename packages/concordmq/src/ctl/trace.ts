/** `ctl trace`: prints the lines of a running node as they come. */
import process from 'node:process'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { shownText } from '../terminal/table.ts'
import type { NodeChoice } from './ask-node.ts'
import { openNode } from './ask-node.ts'
import { query } from './run.ts'

export interface TraceOrder {
  readonly kind: string
  readonly value: string
  readonly seconds: number
  readonly payload: boolean
}

/** Longest line taken from the node, characters. */
const lineLengthMax = 1_048_576

export async function followTrace(
  choice: NodeChoice & { readonly json: boolean },
  { kind, value, seconds, payload }: TraceOrder,
): Promise<void> {
  const path = `/v1/trace${query({ [kind]: value, for: seconds, payload: payload || undefined })}`
  const answer = await openNode(choice, { method: 'GET', path })
  if (!choice.json) process.stderr.write(`Tracing ${kind} ${JSON.stringify(value)} for ${seconds} s; Ctrl-C ends it\n`)
  let pending = ''
  answer.setEncoding('utf8')
  try {
    for await (const chunk of answer as AsyncIterable<string>) {
      pending += chunk
      if (pending.length > lineLengthMax) throw new CommandError(ExitCode.failed, 'The node sent a line without end')
      for (let end = pending.indexOf('\n'); end !== -1; end = pending.indexOf('\n')) {
        const line = pending.slice(0, end)
        pending = pending.slice(end + 1)
        process.stdout.write(choice.json ? `${line}\n` : wordsOf(line))
      }
    }
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(ExitCode.unavailable, 'The node went away')
  }
}

function wordsOf(line: string): string {
  const { at, text, leftOut } = JSON.parse(line) as { at?: string; text?: string; leftOut?: number }
  if (leftOut !== undefined) return `… ${leftOut} lines left out: this terminal is too slow\n`
  return `${at?.slice(11, 26) ?? ''}  ${escaped(text ?? '')}\n`
}

/** As in tables, without their limit of length. */
function escaped(text: string): string {
  return text
    .split(/(?<=.{60})/s)
    .map(shownText)
    .join('')
}
