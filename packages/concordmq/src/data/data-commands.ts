/** What `concordmq data …` does: finds the directory, calls the library, and says in words what came of it. */
import { once } from 'node:events'
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { ConcordError, checkData, type DataReport, exportData, importData, repairData } from '@concordmq/broker'
import { CommandError, configurationError, errorCode, fileProblem } from '../command-error.ts'
import { loadConfiguration } from '../config/settings.ts'
import { ExitCode } from '../exit-codes.ts'
import { dataPlace } from '../running/data-place.ts'
import { prepareKey } from '../running/plan.ts'
import { openPrompt } from '../terminal/prompt.ts'
import { problemLines, reportText } from './report-text.ts'

export interface Place {
  readonly directory: string
  /** Named: taken as it is. */
  readonly dataDir: string | undefined
}

export async function checkNodeData(place: Place, { json }: { readonly json: boolean }): Promise<void> {
  const report = await told(() => checkData(placeOf(place)))
  refuseForeign(place, report)
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report))
  if (!report.clean) process.exitCode = ExitCode.damaged
}

export async function repairNodeData(
  place: Place,
  { backup, asked }: { readonly backup: string | undefined; readonly asked: boolean },
): Promise<void> {
  const directory = placeOf(place)
  const result = await told(() =>
    repairData(directory, {
      ...(backup !== undefined && { backup }),
      confirm: async (report, copy) => {
        process.stdout.write(problemLines(report, 'will be given up'))
        if (asked) await agree(copy)
        return true
      },
    }),
  )
  if (result.backup === undefined) {
    process.stdout.write(`${directory}: nothing is damaged, nothing was changed\n`)
    return
  }
  const after = await told(() => checkData(directory))
  process.stdout.write(`Repaired; the data as they were are in ${result.backup}\n${reportText(after)}`)
  if (!after.clean) process.exitCode = ExitCode.damaged
}

/** To a file under another name until it is whole. */
export async function exportNodeData(place: Place, out: string): Promise<void> {
  const lines = exportData(placeOf(place))
  if (out === '-') return await told(() => writeLines(lines, process.stdout))
  const partial = `${out}.partial`
  try {
    // The first line first: what is refused leaves no file.
    const first = await told(() => lines.next())
    const file = createWriteStream(partial, { mode: 0o600, flush: true })
    await told(() => writeLines(lines, file, first.done === true ? '' : first.value))
    file.end()
    await finished(file)
    renameSync(partial, out)
  } catch (error) {
    await lines.return()
    rmSync(partial, { force: true })
    if (error instanceof CommandError) throw error
    throw new CommandError(ExitCode.inputOutput, `Cannot write ${out}: ${fileProblem(error)}`, { cause: error })
  }
}

export async function importNodeData(
  place: Place,
  { file, merge }: { readonly file: string; readonly merge: boolean },
): Promise<void> {
  const directory = placeOf(place)
  const input = file === '-' ? process.stdin : createReadStream(file)
  if (input !== process.stdin) {
    await once(input, 'open').catch((error: unknown) => {
      throw new CommandError(ExitCode.inputOutput, `Cannot read ${file}: ${fileProblem(error)}`, { cause: error })
    })
  }
  const counts = await told(() => importData(directory, input, { merge })).finally(() => input.destroy())
  const { sessions, subscriptions, queuedMessages, retained, wills, replaced } = counts
  const replacing = replaced === 0 ? '' : `; ${replaced} took the place of what was there`
  process.stdout.write(
    `Imported into ${directory}: ${sessions} sessions, ${subscriptions} subscriptions, ${queuedMessages} queued messages, ` +
      `${retained} retained messages, ${wills} wills${replacing}\n`,
  )
}

function placeOf({ directory, dataDir }: Place): string {
  if (dataDir !== undefined) return dataDir
  if (existsSync(join(directory, 'state.sqlite')) || existsSync(join(directory, 'unfinished'))) return directory
  const configuration = configurationOf(directory)
  const place = dataPlace(configuration, prepareKey(configuration, quiet))
  if (place !== undefined) return place
  throw configurationError('This node keeps nothing: durability is memory', 'Name a data directory with --data-dir')
}

/** Where the data are found by the node's configuration they must be that node's. */
function refuseForeign({ directory, dataDir }: Place, { cluster, directory: found }: DataReport): void {
  if (dataDir !== undefined || cluster === undefined || cluster.key === '' || found === directory) return
  const configuration = configurationOf(directory)
  const { id } = prepareKey(configuration, quiet)
  const network = configuration.settings['cluster.network']
  const [theirs, own] =
    cluster.key === id
      ? [`the network "${cluster.network}"`, `"${network}"`]
      : [`the node with the key ${cluster.key}`, `the key ${id}`]
  if (cluster.key === id && cluster.network === network) return
  throw new CommandError(ExitCode.configuration, `${found} belongs to ${theirs}, and this node has ${own}`, {
    remedy: 'Name the directory with --data-dir to look at it all the same',
  })
}

const quiet = { error() {}, warn() {}, info() {}, debug() {}, debugEnabled: false }

function configurationOf(directory: string): ReturnType<typeof loadConfiguration> {
  return loadConfiguration({ directory, file: undefined, flags: [], environment: process.env })
}

async function writeLines(lines: AsyncIterable<string>, output: NodeJS.WritableStream, first = ''): Promise<void> {
  let text = first
  const flush = async (): Promise<void> => {
    const taken = text
    text = ''
    // The callback tells that it is written, or why not.
    await new Promise<void>((resolve, reject) => {
      output.write(taken, (error) => (error === undefined || error === null ? resolve() : reject(error)))
    })
  }
  for await (const line of lines) {
    text += line
    if (text.length >= 65_536) await flush()
  }
  if (text !== '') await flush()
}

const statuses: Readonly<Record<string, ExitCode>> = {
  CMQ_DATA_LOCKED: ExitCode.unavailable,
  CMQ_DATA_DAMAGED: ExitCode.damaged,
  CMQ_DATA_STREAM: ExitCode.damaged,
  CMQ_DATA_PRESENT: ExitCode.cannotCreate,
  CMQ_DATA_UNUSABLE: ExitCode.inputOutput,
  CMQ_DATA_FORMAT: ExitCode.configuration,
  CMQ_DATA_ABSENT: ExitCode.failed,
}

async function told<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof ConcordError) {
      const locked = error.code === 'CMQ_DATA_LOCKED'
      throw new CommandError(statuses[error.code] ?? ExitCode.failed, error.message, {
        ...(locked && { remedy: 'If a node runs on these data, stop it first' }),
        cause: error,
      })
    }
    if (error instanceof CommandError || errorCode(error) === undefined) throw error
    throw new CommandError(ExitCode.inputOutput, `Cannot read or write: ${fileProblem(error)}`, { cause: error })
  }
}

async function agree(copy: string): Promise<void> {
  const prompt = openPrompt()
  try {
    if (!prompt.interactive) {
      throw new CommandError(ExitCode.usage, 'Nobody can be asked whether to give this up; nothing was changed', {
        remedy: 'Add --yes to do it without being asked',
      })
    }
    const answer = await prompt.ask(`The data as they are will be copied to ${copy}. Type "yes" to repair: `)
    if (answer.trim() !== 'yes') throw new CommandError(ExitCode.failed, 'Nothing was changed')
  } finally {
    prompt.close()
  }
}
