/**
 * `--cpu-profile FILE` (row S10): samples where the CPU goes from the start to the stop, and writes a `.cpuprofile` that
 * Chrome, VS Code and speedscope read. The file is opened first, so that an hour of samples is not lost to a wrong path.
 */
import { open } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { CommandError, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

export interface CpuProfile {
  /** Ends the sampling and writes the file. */
  stop(): Promise<void>
}

/** Throws a `CommandError` if the file cannot be written. */
export async function startCpuProfile(path: string): Promise<CpuProfile> {
  const file = await open(path, 'w').catch((error: unknown) => {
    throw new CommandError(ExitCode.inputOutput, `Cannot write the CPU profile ${path}: ${fileProblem(error)}`, {
      remedy: 'choose a file in a folder that exists and may be written to',
    })
  })
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  return {
    async stop() {
      const { profile } = await session.post('Profiler.stop')
      session.disconnect()
      await file.writeFile(JSON.stringify(profile))
      await file.close()
    },
  }
}
