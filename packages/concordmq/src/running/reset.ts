/**
 * Empties the store of a node, after a confirmation (row U25). It is found by the same rules as `run` finds it, so the same
 * flags lead to the same data. A node that runs holds the lock of its data, and is left alone.
 */
import { ConcordError, dataFiles, type Logger, removeData } from '@concordmq/broker'
import { CommandError, configurationError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { openPrompt } from '../terminal/prompt.ts'
import { bytesText } from '../terminal/table.ts'
import { dataPlace } from './data-place.ts'
import { prepareKey } from './plan.ts'
import { loadArguments, type RunArguments } from './run.ts'

const quiet: Logger = { error() {}, warn() {}, info() {}, debug() {}, debugEnabled: false }

/** `asked`: whether somebody has to agree first. */
export async function resetNode(args: RunArguments, { asked }: { readonly asked: boolean }): Promise<void> {
  const configuration = loadArguments(args)
  const place = dataPlace(configuration, prepareKey(configuration, quiet))
  if (place === undefined) {
    throw configurationError('This node keeps nothing: durability is memory', 'Give another with --durability')
  }
  const files = await dataFiles(place)
  if (files.length === 0) {
    process.stdout.write(`There is nothing in ${place}\n`)
    return
  }
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  if (asked) await agree(`${place}: ${files.length} files, ${bytesText(bytes)}`)
  try {
    const removed = await removeData(place)
    process.stdout.write(`Deleted ${removed.length} files in ${place}\n`)
  } catch (error) {
    if (!(error instanceof ConcordError)) throw error
    const running = error.code === 'CMQ_DATA_LOCKED'
    throw new CommandError(running ? ExitCode.unavailable : ExitCode.configuration, error.message, {
      ...(running && { remedy: 'A node runs on these data: stop it first, `concordmq ctl drain` for example' }),
      cause: error,
    })
  }
}

async function agree(what: string): Promise<void> {
  const prompt = openPrompt()
  try {
    if (!prompt.interactive) {
      throw new CommandError(ExitCode.usage, `Nobody can be asked whether to delete ${what}`, {
        remedy: 'Add --yes to delete it without being asked',
      })
    }
    process.stderr.write(`This deletes all sessions, queues and retained messages of the node for good.\n${what}\n`)
    const answer = await prompt.ask('Type "yes" to delete them: ')
    if (answer.trim() !== 'yes') throw new CommandError(ExitCode.failed, 'Nothing was deleted')
  } finally {
    prompt.close()
  }
}
