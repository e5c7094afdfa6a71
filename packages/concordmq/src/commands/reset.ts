/** `concordmq reset [DIRECTORY]`: empties the store of a node that does not run (row U25). */
import type { Command } from 'commander'
import { addConfigurationFlags, configFile, defaultDirectory, givenFlags } from '../config/flags.ts'

export function addReset(program: Command): void {
  addConfigurationFlags(program.command('reset'))
    .description('delete what a node has kept: sessions, queues, retained messages; users and settings stay')
    .argument('[DIRECTORY]', 'configuration directory', defaultDirectory)
    .option('--yes', 'do not ask')
    .action(async (directory: string, options: { readonly yes?: true }, self: Command) => {
      const { resetNode } = await import('../running/reset.ts')
      await resetNode(
        {
          directory,
          directoryGiven: self.args.length > 0,
          file: configFile(self),
          given: givenFlags(self),
          environment: process.env,
        },
        { asked: options.yes !== true },
      )
    })
}
