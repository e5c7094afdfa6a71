/**
 * Asking a person, or reading what a script pipes in: on a terminal a prompt, for secrets without echo; otherwise one line
 * of standard input per question. Prompts go to standard error, so that standard output stays data.
 */
import { createInterface } from 'node:readline'
import type { ReadStream } from 'node:tty'
import { CommandError } from '../command-error.ts'
import { ExitCode, exitCodeOfSignal } from '../exit-codes.ts'

export interface Prompt {
  readonly interactive: boolean
  ask(question: string): Promise<string>
  askSecret(question: string): Promise<string>
  close(): void
}

/** Longest line taken from a pipe, characters. */
const lineLengthMax = 65_536

export function openPrompt(
  input: NodeJS.ReadStream = process.stdin,
  output: NodeJS.WritableStream = process.stderr,
): Prompt {
  return input.isTTY ? terminalPrompt(input, output) : pipedPrompt(input)
}

function pipedPrompt(input: NodeJS.ReadStream): Prompt {
  let lines: AsyncIterator<string> | undefined
  const next = async (question: string): Promise<string> => {
    lines ??= readLines(input)
    const line = await lines.next()
    if (line.done === true) {
      throw new CommandError(
        ExitCode.usage,
        `Standard input ended before "${question.replace(/:?\s*$/, '')}" was answered`,
        {
          remedy: 'Give the value as an argument, or one line of standard input for each question',
        },
      )
    }
    return line.value
  }
  return { interactive: false, ask: next, askSecret: next, close: () => void input.destroy() }
}

/** Lines of a stream, bounded; made once, so that consecutive questions read consecutive lines. */
async function* readLines(input: NodeJS.ReadStream): AsyncGenerator<string> {
  let pending = ''
  input.setEncoding('utf8')
  for await (const chunk of input) {
    pending += chunk
    if (pending.length > lineLengthMax)
      throw new CommandError(ExitCode.usage, `A line of standard input is longer than ${lineLengthMax} characters`)
    for (let end = pending.indexOf('\n'); end !== -1; end = pending.indexOf('\n')) {
      yield pending.slice(0, end).replace(/\r$/, '')
      pending = pending.slice(end + 1)
    }
  }
  if (pending !== '') yield pending
}

function terminalPrompt(input: ReadStream, output: NodeJS.WritableStream): Prompt {
  return {
    interactive: true,
    ask: (question) =>
      new Promise((resolve, reject) => {
        const lines = createInterface({ input, output })
        lines.once('SIGINT', () => {
          lines.close()
          reject(interrupted())
        })
        lines.question(question, (answer) => {
          lines.close()
          resolve(answer)
        })
      }),
    askSecret: (question) => readWithoutEcho(question, input, output),
    close: () => input.pause(),
  }
}

/** Raw mode, so that the terminal shows nothing; Enter ends, Backspace and Ctrl-U edit, Ctrl-C gives up. */
function readWithoutEcho(question: string, input: ReadStream, output: NodeJS.WritableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = ''
    // Echo is off before anybody can see the question and answer it.
    input.setRawMode(true)
    input.setEncoding('utf8')
    input.resume()
    output.write(question)
    const finish = (act: () => void) => {
      input.off('data', take)
      input.setRawMode(false)
      input.pause()
      output.write('\n')
      act()
    }
    const take = (chunk: string | Buffer) => {
      for (const character of String(chunk)) {
        if (character === '\r' || character === '\n') return finish(() => resolve(typed))
        if (character === '\u0003') return finish(() => reject(interrupted()))
        if (character === '\u0004') return finish(() => resolve(typed))
        if (character === '\u007f' || character === '\b') typed = Array.from(typed).slice(0, -1).join('')
        else if (character === '\u0015') typed = ''
        else if (character >= ' ') typed += character
      }
    }
    input.on('data', take)
  })
}

function interrupted(): CommandError {
  return new CommandError(exitCodeOfSignal('SIGINT'), 'Interrupted; nothing was changed')
}
