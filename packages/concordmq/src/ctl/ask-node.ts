/** One request to a running node over its control socket; what goes wrong is said in words, with what to do. */

import { statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { CommandError, errorCode, fileProblem } from '../command-error.ts'
import { controlPlaces } from '../control/socket-path.ts'
import { ExitCode } from '../exit-codes.ts'
import { parseToml } from '../files/parse-toml.ts'
import { readTextIfPresent } from '../files/read-text.ts'

/** Which node is meant. */
export interface NodeChoice {
  readonly directory: string
  readonly controlSocket?: string | undefined
  /** Index of a node of a cluster. */
  readonly node?: number | undefined
}

export interface Question {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Path and query, already encoded. */
  readonly path: string
  readonly body?: unknown
}

const answerTimeoutMs = 60_000
const answerBytesMax = 64 * 1_048_576

/** The JSON of the answer; throws a `CommandError` for a refusal or when no node answers. */
export async function askNode(choice: NodeChoice, question: Question): Promise<unknown> {
  const { status, text } = await gather(await send(socketOf(choice), question, { timeoutMs: answerTimeoutMs }))
  if (status !== 200) throw refusalOf({ status, text })
  return parsed(text)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new CommandError(ExitCode.failed, 'The node gave an answer that is no JSON; is it another program?')
  }
}

function refusalOf({ status, text }: Gathered): CommandError {
  const { error } = parsed(text) as { readonly error?: { readonly message?: string; readonly remedy?: string | null } }
  return new CommandError(
    status === 400 ? ExitCode.usage : ExitCode.failed,
    error?.message ?? `The node answered ${status}`,
    typeof error?.remedy === 'string' ? { remedy: error.remedy } : {},
  )
}

/** Opens a request whose answer comes in pieces; a refusal is thrown as by `askNode`. */
export async function openNode(choice: NodeChoice, question: Question): Promise<IncomingMessage> {
  const answer = await send(socketOf(choice), question, { timeoutMs: undefined })
  if (answer.statusCode === 200) return answer
  throw refusalOf(await gather(answer))
}

/** Where the node is spoken to: as given, as its configuration says, or where a node of that directory would be. */
export function socketOf({ directory, controlSocket, node }: NodeChoice): string {
  const given = controlSocket ?? process.env['CONCORDMQ_CONTROL_SOCKET']
  if (given !== undefined && given !== '') return resolve(given)
  const configured = fromFile(directory)
  if (configured !== undefined) return configured
  const places = controlPlaces(directory, { node })
  const found = places.find((place) => place.startsWith('\\\\.\\') || isSocket(place))
  if (found !== undefined) return found
  throw new CommandError(ExitCode.unavailable, `No node runs with the directory ${directory}`, {
    remedy: `There is no control socket at ${places[0]} or ${places.at(-1)}. Name the directory with --directory, or the socket with --control-socket`,
  })
}

function fromFile(directory: string): string | undefined {
  const path = join(directory, 'concordmq.toml')
  try {
    const text = readTextIfPresent(path)?.text
    const value = text === undefined ? undefined : parseToml(text, path, { hideSource: true })['control-socket']
    return typeof value === 'string' && value !== 'off' ? resolve(directory, value) : undefined
  } catch {
    // What is wrong with the file is `config check`'s to say; the node may run with an older one.
    return undefined
  }
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket()
  } catch {
    return false
  }
}

interface Gathered {
  readonly status: number
  readonly text: string
}

async function gather(response: IncomingMessage): Promise<Gathered> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > answerBytesMax) throw new CommandError(ExitCode.failed, 'The answer of the node is too long')
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(ExitCode.unavailable, `The node went away in the middle of its answer`)
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }
}

function send(
  socketPath: string,
  { method, path, body }: Question,
  { timeoutMs }: { readonly timeoutMs: number | undefined },
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((done, fail) => {
    const sent = request({
      socketPath,
      method,
      path,
      headers: {
        host: 'control',
        ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
      agent: false,
    })
    if (timeoutMs !== undefined) {
      sent.setTimeout(timeoutMs, () => sent.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })))
    }
    sent.once('response', done)
    sent.once('error', (error) => fail(unreachable(error, socketPath)))
    sent.end(text)
  })
}

function unreachable(error: Error, path: string): CommandError {
  const code = errorCode(error)
  const remedy = (text: string) => ({ remedy: text, cause: error })
  switch (code) {
    case 'ENOENT':
      return new CommandError(
        ExitCode.unavailable,
        `No node runs: there is no control socket at ${path}`,
        remedy('Name the directory of the node with --directory, or its socket with --control-socket'),
      )
    case 'ECONNREFUSED':
      return new CommandError(
        ExitCode.unavailable,
        `No node runs: nobody answers on ${path}, which a node that ended has left`,
        remedy('Start the node; it replaces the socket'),
      )
    case 'EACCES':
    case 'EPERM':
      return new CommandError(
        ExitCode.unavailable,
        `Cannot open the control socket ${path}: permission is denied`,
        remedy('Only the user the node runs as may open it, and root'),
      )
    case 'ETIMEDOUT':
      return new CommandError(ExitCode.unavailable, `The node behind ${path} does not answer`)
    case 'ECONNRESET':
    case 'EPIPE':
      return new CommandError(
        ExitCode.unavailable,
        'The node closed the connection without an answer',
        remedy('It is stopping, or too many commands speak to it at once'),
      )
    default:
      return new CommandError(ExitCode.unavailable, `Cannot ask the node behind ${path}: ${fileProblem(error)}`)
  }
}
