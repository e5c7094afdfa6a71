/** The work of `concordmq pub`. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, connect, type PublishOptions } from '@concordmq/client'
import { CommandError, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { commandError, debugNotices, readClientFlags } from './client-settings.ts'
import type { PubFlags } from './flags.ts'
import { parsePropertyFlags } from './property-flags.ts'
import { integerFlag, qosFlag, secondsFlag, usageError } from './read-flag.ts'
import { type InputLines, openInput } from './standard-input.ts'

/** Lines under way at once with `-l`; then reading waits for the server. */
const UNDER_WAY_MAX = 1000

type Source = 'message' | 'file' | 'nullMessage' | 'stdinLine' | 'stdinFile'
const SOURCES: readonly Source[] = ['message', 'file', 'nullMessage', 'stdinLine', 'stdinFile']

/** Publishes what the flags say, and resolves when the server has acknowledged it. */
export async function publishMessages(flags: PubFlags): Promise<void> {
  const source = sourceOf(flags)
  const properties = parsePropertyFlags(flags.property ?? [], ['connect', 'publish', 'disconnect', 'will'])
  const input = openInput(process.stdin)
  const { options, topic: urlTopic } = await readClientFlags(flags, properties, () => passwordFrom(input))
  const topic = flags.topic ?? urlTopic
  if (topic === undefined) throw usageError('Cannot publish without a topic', 'Give one with -t')
  const publish: PublishOptions = {
    qos: qosFlag('-q', flags.qos),
    retain: flags.retain === true,
    ...(properties.publish !== undefined && { properties: properties.publish }),
  }
  const times = integerFlag('--repeat', flags.repeat, [1, 0xffffffff], 1)
  const pauseMs = secondsFlag('--repeat-delay', flags.repeatDelay, 0)
  const payload = source === 'stdinLine' ? undefined : await payloadFrom(source, flags, input)
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    // Lines may come for hours; one message is not worth waiting for a server that is away.
    const reconnect = source === 'stdinLine' ? {} : (false as const)
    const client = await connect({ ...options, reconnect, notices: debugNotices(flags) })
    try {
      if (payload === undefined) await publishLines(client, topic, publish, input, controller.signal)
      else await publishRepeatedly(client, topic, payload, publish, { times, pauseMs, signal: controller.signal })
    } finally {
      await client.disconnect(properties.disconnect === undefined ? {} : { properties: properties.disconnect })
    }
  } catch (error) {
    throw commandError(error)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    process.stdin.destroy()
  }
}

async function publishRepeatedly(
  client: Client,
  topic: string,
  payload: Uint8Array,
  options: PublishOptions,
  { times, pauseMs, signal }: { readonly times: number; readonly pauseMs: number; readonly signal: AbortSignal },
): Promise<void> {
  for (let i = 0; i < times && !signal.aborted; i++) {
    if (i > 0 && pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {})
    if (!signal.aborted) await client.publish(topic, payload, options)
  }
}

async function publishLines(
  client: Client,
  topic: string,
  options: PublishOptions,
  input: InputLines,
  signal: AbortSignal,
): Promise<void> {
  const aborted = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)))
  let underWay: Promise<unknown>[] = []
  for (;;) {
    const line = await Promise.race([input.next(), aborted])
    if (line === undefined) break
    const publication = client.publish(topic, line, options)
    // The error is thrown below; until then it must not count as unhandled.
    publication.catch(() => {})
    underWay.push(publication)
    if (underWay.length < UNDER_WAY_MAX) continue
    await Promise.all(underWay)
    underWay = []
  }
  await Promise.all(underWay)
}

function sourceOf(flags: PubFlags): Source {
  const given = SOURCES.filter((source) => flags[source] !== undefined)
  const [source] = given
  if (source === undefined) throw usageError('Cannot publish without a message', 'Give one with -m, -f, -n, -l or -s')
  if (given.length > 1) throw usageError('Cannot use more than one of -m, -f, -n, -l and -s', 'Leave the others out')
  if (source === 'stdinLine' && flags.repeat !== undefined)
    throw usageError('Cannot use --repeat with -l', 'Leave one of them out')
  return source
}

async function payloadFrom(source: Source, flags: PubFlags, input: InputLines): Promise<Uint8Array> {
  if (source === 'message') return Buffer.from(flags.message ?? '')
  if (source === 'stdinFile') return input.rest()
  if (source === 'nullMessage') return new Uint8Array(0)
  try {
    return readFileSync(flags.file ?? '')
  } catch (error) {
    throw new CommandError(ExitCode.inputOutput, `Cannot read -f "${flags.file}": ${fileProblem(error)}`, {
      remedy: 'Give the path of a file to publish',
    })
  }
}

/** The first line; what follows it is the message, with `-l` and `-s`. */
export async function passwordFrom(input: InputLines): Promise<string> {
  const line = await input.next()
  if (line !== undefined) return line.toString('utf8')
  throw usageError('Cannot read the password: standard input is empty', 'Put it into the first line')
}
