/** The work of `concordmq sub`. */
import { type Client, connect, type Message } from '@concordmq/client'
import { filterMatches, filterProblem } from '@concordmq/protocol'
import { CommandError, errorCode, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { commandError, debugNotices, readClientFlags } from './client-settings.ts'
import type { SubFlags } from './flags.ts'
import { type FormatMessage, parseFormat } from './message-format.ts'
import { type PropertyFlags, parsePropertyFlags } from './property-flags.ts'
import { passwordFrom } from './publish-messages.ts'
import { integerFlag, qosFlag, secondsFlag, usageError } from './read-flag.ts'
import { openInput } from './standard-input.ts'

const RETAIN_HANDLING: Readonly<Record<string, 0 | 1 | 2>> = { always: 0, new: 1, never: 2 }

interface Plan {
  readonly filters: readonly string[]
  readonly countMax: number
  readonly timeoutMs: number | undefined
  readonly format: FormatMessage
  readonly filterOut: readonly string[]
}

/** Why the loop ended. */
type Stop = 'signal' | 'timeout' | 'output'

/** Prints messages until something ends it: `-C`, `-W`, a signal, or the reader of standard output. */
export async function receiveMessages(flags: SubFlags): Promise<void> {
  const properties = parsePropertyFlags(flags.property ?? [], [
    'connect',
    'subscribe',
    'unsubscribe',
    'disconnect',
    'will',
  ])
  const input = openInput(process.stdin)
  const { options, topic } = await readClientFlags(flags, properties, () => passwordFrom(input))
  if (flags.passwordStdin === true) process.stdin.destroy()
  const plan = planFrom(flags, topic)
  const stopping = Promise.withResolvers<Stop>()
  const onSignal = (): void => stopping.resolve('signal')
  // `sub | head -1`: the reader has gone, which is no error.
  const onOutputError = (error: Error): void => {
    if (errorCode(error) === 'EPIPE') stopping.resolve('output')
    else stopping.reject(new CommandError(ExitCode.inputOutput, `Cannot write messages: ${fileProblem(error)}`))
  }
  // It may fail when nobody waits for it any longer.
  stopping.promise.catch(() => {})
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  process.stdout.on('error', onOutputError)
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    const client = await connect({ ...options, notices: debugNotices(flags) })
    if (plan.timeoutMs !== undefined) timer = setTimeout(() => stopping.resolve('timeout'), plan.timeoutMs)
    // From before SUBSCRIBE: a kept session sends at once.
    const messages = client.messages()
    await Promise.race([subscribeAll(client, flags, plan, properties), stopping.promise])
    const end =
      flags.exitAfterSubscribe === true ? undefined : await printAll(client, messages, flags, plan, stopping.promise)
    await client.disconnect(properties.disconnect === undefined ? {} : { properties: properties.disconnect })
    if (end === 'timeout') throw new CommandError(ExitCode.timedOut, 'Timed out')
  } catch (error) {
    throw commandError(error)
  } finally {
    clearTimeout(timer)
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    process.stdout.off('error', onOutputError)
  }
}

async function subscribeAll(client: Client, flags: SubFlags, plan: Plan, properties: PropertyFlags): Promise<void> {
  for (const filter of flags.unsubscribe ?? []) {
    await client.unsubscribe(filter, properties.unsubscribe === undefined ? {} : { properties: properties.unsubscribe })
  }
  const retainHandling = flags.retainHandling === undefined ? 0 : RETAIN_HANDLING[flags.retainHandling]
  if (retainHandling === undefined) {
    throw usageError(`Cannot use --retain-handling "${flags.retainHandling}"`, 'Give always, new or never')
  }
  const subscriptions = plan.filters.map((filter) =>
    client.subscribe(filter, {
      qos: qosFlag('-q', flags.qos),
      retainAsPublished: flags.retainAsPublished === true,
      retainHandling,
      ...(properties.subscribe !== undefined && { properties: properties.subscribe }),
    }),
  )
  for (const { filter, qos } of await Promise.all(subscriptions)) {
    if (flags.debug === true) process.stderr.write(`Subscribed to "${filter}" at QoS ${qos}\n`)
  }
}

/** The iterator is not closed on the way out: what was not printed stays unacknowledged, for a kept session. */
async function printAll(
  client: Client,
  messages: AsyncIterator<Message>,
  flags: SubFlags,
  plan: Plan,
  stopping: Promise<Stop>,
): Promise<Stop | undefined> {
  let count = 0
  while (count < plan.countMax) {
    const next = await Promise.race([messages.next(), stopping])
    if (typeof next === 'string') return next
    if (next.done === true) return undefined
    const message = next.value
    if (flags.retainedOnly === true && !message.retain) return undefined
    if (message.retain && flags.removeRetained === true)
      await client.publish(message.topic, '', { qos: 1, retain: true })
    if (!wanted(message, flags, plan)) continue
    count++
    const room = process.stdout.write(plan.format(message, new Date()))
    if (room) continue
    const stop = await Promise.race([
      stopping,
      new Promise<undefined>((resolve) => process.stdout.once('drain', () => resolve(undefined))),
    ])
    if (stop !== undefined) return stop
  }
  return undefined
}

function wanted(message: Message, flags: SubFlags, plan: Plan): boolean {
  if (message.retain && !flags.stale) return false
  return !plan.filterOut.some((filter) => filterMatches(filter, message.topic))
}

function planFrom(flags: SubFlags, urlTopic: string | undefined): Plan {
  const filters = [...(urlTopic === undefined ? [] : [urlTopic]), ...(flags.topic ?? [])]
  if (filters.length === 0 && flags.unsubscribe === undefined && flags.disableCleanSession !== true) {
    throw usageError('Cannot subscribe without a topic filter', 'Give one with -t')
  }
  const filterOut = flags.filterOut ?? []
  for (const filter of filterOut) {
    const problem = filterProblem(filter)
    if (problem !== undefined) throw usageError(`Cannot use -T "${filter}": ${problem.detail}`, 'Give a topic filter')
  }
  if (flags.format !== undefined && flags.verbose === true)
    throw usageError('Cannot use -F together with -v', 'Put %t into the format')
  const format = flags.format ?? (flags.verbose === true ? '%t %v' : '%p')
  return {
    filters,
    filterOut,
    countMax: integerFlag('-C', flags.count, [1, 0xffffffff], Number.POSITIVE_INFINITY),
    timeoutMs: secondsFlag('-W', flags.timeout, undefined),
    format: parseFormat(format, { endOfLine: flags.eol }),
  }
}
