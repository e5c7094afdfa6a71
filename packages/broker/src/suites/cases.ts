/**
 * Suites that hold an implementation of a broker's part to what the broker relies on. Free of any test runner: a suite is a
 * list of cases, each with a sentence for its name.
 *
 * ```ts
 * for (const { name, run } of topicStoreSuite(() => myTopicStore())) test(name, run)
 * ```
 */
export interface Case {
  readonly name: string
  /** Throws or rejects with an `AssertionError` where the part fails. */
  readonly run: () => void | Promise<void>
}
