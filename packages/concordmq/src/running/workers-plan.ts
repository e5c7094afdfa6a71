/** What several workers do not serve yet, found before anything is opened, so that `config check` says the same. */
import { configurationErrors } from '../command-error.ts'
import type { Configuration } from '../config/settings.ts'
import type { ClusterPlan } from './cluster-plan.ts'

/** Throws a configuration error that lists all of it. */
export function refuseWithWorkers({ settings }: Configuration, cluster: ClusterPlan | undefined): void {
  if (settings.workers === 1) return
  const problems: string[] = []
  if (cluster !== undefined) problems.push('a node of a cluster has one worker: use --workers 1')
  for (const key of ['limits.connections-per-address-max', 'limits.connections-per-user-max'] as const) {
    if (settings[key] > 0) problems.push(`${key} is counted by one worker: set it to 0, or use --workers 1`)
  }
  if (problems.length > 0) throw configurationErrors(`Cannot serve with workers = ${settings.workers}`, problems)
}
