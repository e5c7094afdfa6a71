/**
 * The control channel of a running node: HTTP with JSON on a Unix socket, so that `curl --unix-socket` works as well as
 * `concordmq ctl`. Only the node's own user (and root) can open the socket; there is no login beyond that, and no network.
 *
 * Everything is bounded: connections at once, the head and body of a request, the time for either, the size of an answer.
 * A slow or rude peer costs one connection and is cut. A request that fails is an answer with a reason; a defect is one with
 * status 500, and the node goes on.
 */
import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import process from 'node:process'
import { CommandError, errorCode, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { withLock } from '../files/with-lock.ts'
import type { Plan } from '../running/plan.ts'
import { ControlError } from './control-error.ts'
import type { ControlContext, ControlledNode } from './controlled-node.ts'
import { answerTo } from './routes.ts'
import { type ControlPlace, controlPlace, ensurePrivateFolder, fits } from './socket-path.ts'

export interface ControlHandle {
  readonly path: string
  close(): Promise<void>
}

/** Traces included, which stay open. */
const connectionsMax = 32
const requestTimeoutMs = 10_000
const headBytesMax = 16_384
/** A document of operators, in Base64. */
const bodyBytesMax = 1_048_576

/** Opens the socket; undefined if it is off, or has no place and was not asked for. */
export async function openControl(plan: Plan, context: ControlContext): Promise<ControlHandle | undefined> {
  const { logger } = context
  const given = plan.configuration.settings['control-socket']
  if (given === 'off') return undefined
  const place: ControlPlace =
    given === undefined
      ? controlPlace(plan.configuration.directory, { node: plan.cluster?.index })
      : { path: given, moved: undefined }
  const { path, moved } = place
  if (!fits(path)) {
    throw new CommandError(ExitCode.configuration, `The path of the control socket is too long: ${path}`, {
      remedy: 'Give one of at most 103 bytes with --control-socket, or --control-socket off',
    })
  }
  const problem = moved === undefined ? undefined : ensurePrivateFolder()
  if (problem !== undefined) {
    logger.warn(
      { event: 'control.none', reason: moved, problem },
      'no control socket: `concordmq ctl` cannot reach this node; give it a place with --control-socket',
    )
    return undefined
  }
  const server = makeServer({ plan, startedAtMs: Date.now(), ...context })
  await bindPrivately(server, path)
  if (moved === undefined) logger.info({ event: 'control.open', path }, 'control socket is open')
  else logger.info({ event: 'control.open', path, reason: moved }, 'control socket is open, outside of the directory')
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function makeServer(node: ControlledNode): Server {
  const server = createServer(
    {
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 4,
      maxHeaderSize: headBytesMax,
      keepAlive: false,
    },
    (request, response) => void serveRequest(request, response, node),
  )
  server.maxConnections = connectionsMax
  return server
}

async function serveRequest(request: IncomingMessage, response: ServerResponse, node: ControlledNode): Promise<void> {
  // A peer that goes away in the middle is no error of ours.
  response.on('error', () => {})
  try {
    const url = URL.parse(request.url ?? '', 'http://control')
    if (url === null) throw new ControlError(400, 'The address of the request cannot be read')
    const body = await readBody(request)
    const answer = await answerTo({ method: request.method ?? '', url, body, response }, node)
    if (answer !== undefined) reply(response, 200, answer)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else if (error instanceof ControlError) {
      reply(response, error.status, { error: { message: error.message, remedy: error.remedy ?? null } })
    } else if (error instanceof CommandError) {
      reply(response, 409, { error: { message: error.message, remedy: error.remedy ?? null } })
    } else {
      node.logger.error({ event: 'control.failed', url: request.url, error: String(error) }, 'A control request failed')
      reply(response, 500, { error: { message: `Internal error: ${String(error)}`, remedy: null } })
    }
  }
}

function reply(response: ServerResponse, status: number, value: unknown): void {
  const text = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    connection: 'close',
  })
  response.end(text)
}

/** The JSON of a request, or undefined if there is none. */
async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyBytesMax) throw new ControlError(413, `A request has at most ${bodyBytesMax} bytes`)
    chunks.push(chunk)
  }
  if (bytes === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new ControlError(400, 'The body of a request must be JSON')
  }
}

/**
 * Binds with mode 0600. A socket that a dead process left is replaced; one that answers belongs to another node, which must
 * not be cut off. Under a lock, so that of two nodes that start together one hears of the other.
 */
async function bindPrivately(server: Server, path: string): Promise<void> {
  const inUse = new CommandError(ExitCode.unavailable, `Another node answers on the control socket ${path}`, {
    remedy: 'Stop it, or give this one a socket of its own with --control-socket PATH',
  })
  const pipe = path.startsWith('\\\\.\\pipe\\')
  const bind = async (): Promise<void> => {
    if (!pipe) await clearStale(path, inUse)
    await listen(server, path)
    if (!pipe) chmodSync(path, 0o600)
  }
  try {
    await (pipe ? bind() : withLock(path, bind))
  } catch (error) {
    if (error instanceof CommandError) throw error
    if (errorCode(error) === 'EADDRINUSE') throw inUse
    throw new CommandError(ExitCode.unavailable, `Cannot open the control socket ${path}: ${fileProblem(error)}`, {
      remedy: 'Give another place with --control-socket PATH, or --control-socket off',
      cause: error,
    })
  }
}

async function clearStale(path: string, inUse: CommandError): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) {
    throw new CommandError(ExitCode.unavailable, `Cannot open the control socket ${path}: a file is in its place`, {
      remedy: 'Remove it, or give another place with --control-socket PATH',
    })
  }
  if (await answers(path)) throw inUse
  rmSync(path, { force: true })
}

/** Anything but a refusal counts: a full accept queue or missing rights mean that somebody lives. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(errorCode(error) ?? '')))
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The socket is made within the call: nobody may connect in the moment before its mode is set.
    const mask = process.umask(0o177)
    try {
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(mask)
    }
  })
}
