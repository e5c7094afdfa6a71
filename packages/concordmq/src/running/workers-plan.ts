/** What several workers do not serve yet, found before anything is opened, so that `config check` says the same. */
import { configurationErrors } from '../command-error.ts'
import type { Configuration } from '../config/settings.ts'
import type { ClusterPlan } from './cluster-plan.ts'

/** Throws a configuration error. */
export function refuseWithWorkers({ settings }: Configuration, cluster: ClusterPlan | undefined): void {
  if (settings.workers === 1 || cluster === undefined) return
  const problem = 'a node of a cluster has one worker: use --workers 1'
  throw configurationErrors(`Cannot serve with workers = ${settings.workers}`, [problem])
}
