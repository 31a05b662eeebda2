import { act, historyOf, revertOf, type Act } from '../../test/support/happened.js';
import { Fact, isDone, stepsOf } from './provenance.js';
import type { Undo } from './reversal.js';

/** A stream with one fact: each event sets its value. */
interface Event {
  readonly value: string;
}
const set = (change: string, value: string): Act<Event> => act(change, { value });
const back = (reverts: string, change: string, value: string): Act<Event> =>
  revertOf(reverts, change, { value });

function judge(acts: readonly Act<Event>[], change: string, asked: Partial<Undo> = {}) {
  const history = historyOf(acts);
  const fact = new Fact<string>((one, other) => one === other);
  for (const step of stepsOf(history, 'nothing', (_, { value }) => value)) fact.set(step);
  const undo: Undo = { change, by: 'undoing', before: BigInt(history.length), ...asked };
  const verdict = fact.judge(undo);
  if (verdict?.since) return `changed by ${verdict.since.metadata.correlationId}`;
  return verdict?.undo && `back to ${verdict.undo.before}`;
}

describe('a fact that a change set', () => {
  test('goes back to what it was', () =>
    expect(judge([set('x', 'A'), set('c', 'B')], 'c')).toBe('back to A'));
  test('first of all goes back to nothing', () =>
    expect(judge([set('c', 'B')], 'c')).toBe('back to nothing'));
  test('several times goes back to what it was before the first time', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('c', 'C')], 'c')).toBe('back to A'));
  test('and somebody else between goes back to what that one set', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('y', 'Y'), set('c', 'C')], 'c')).toBe('back to Y'));
  test('and somebody changed since stays', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('y', 'C')], 'c')).toBe('changed by y'));
  test('and somebody set to the same value since stays', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('y', 'B')], 'c')).toBe('changed by y'));
  test('and somebody set back by a command stays', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('y', 'A')], 'c')).toBe('changed by y'));
  test('that a change did not set is no matter of its undoing', () =>
    expect(judge([set('x', 'A'), set('y', 'B')], 'c')).toBeUndefined());
});

describe('reverts', () => {
  const once = [set('x', 'A'), set('c', 'B'), back('c', 'r', 'A')];
  const twice = [...once, back('r', 'rr', 'B')];
  test('are looked through: what a reverted change set was not changed since', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('d', 'D'), back('d', 'r', 'B')], 'c')).toBe('back to A'));
  test('of several changes, one after the other, are looked through', () =>
    expect(
      judge(
        [
          set('x', 'A'),
          set('c', 'B'),
          set('d', 'D'),
          set('e', 'E'),
          back('e', 'r', 'D'),
          back('d', 's', 'B'),
        ],
        'c',
      ),
    ).toBe('back to A'));
  test('that have been done have nothing to do', () => expect(judge(once, 'c')).toBeUndefined());
  test('can be reverted', () => expect(judge(once, 'r')).toBe('back to B'));
  test('that were reverted leave the first change to be reverted again', () =>
    expect(judge(twice, 'c')).toBe('back to A'));
  test('can be reverted any number of times', () => {
    const acts = [...twice];
    for (const [change, value] of [
      ['c', 'A'],
      ['undo 1', 'B'],
      ['c', 'A'],
      ['undo 3', 'B'],
      ['undo 4', 'A'],
    ] as const) {
      expect(judge(acts, change)).toBe(`back to ${value}`);
      acts.push(back(change, `undo ${acts.length - 3}`, value));
    }
  });
  test('that somebody changed since stay', () =>
    expect(judge([...once, set('y', 'Y')], 'r')).toBe('changed by y'));
  test('that set something else are changes like any', () =>
    expect(judge([set('x', 'A'), set('c', 'B'), set('d', 'D'), back('d', 'r', 'Z')], 'c')).toBe(
      'changed by r',
    ));
  test('in two steps are looked through', () =>
    expect(
      judge([set('x', 'A'), set('c', 'B'), set('d', 'D'), back('d', 'r', 'none'), back('d', 'r', 'B')], 'c'),
    ).toBe('back to A'));
});

describe('an undoing', () => {
  const acts = [set('x', 'A'), set('c', 'B')];
  test('is judged by what happened before it was asked for', () => {
    const changed = [...acts, set('y', 'Y')];
    expect(judge([...changed, back('y', 'r', 'B')], 'c', { before: 3n })).toBe('changed by y');
    expect(judge([...changed, back('y', 'r', 'B')], 'c', { before: 4n })).toBe('back to A');
  });
  test('does not act on what somebody changed meanwhile', () =>
    expect(judge([...acts, set('y', 'Y')], 'c', { before: 2n })).toBe('changed by y'));
  test('does not act again once it has acted, whatever came later', () =>
    expect(judge([...acts, back('c', 'undoing', 'A'), set('y', 'Y')], 'c', { before: 2n })).toBeUndefined());
  test('does not act if another undoing of the change came first', () =>
    expect(judge([...acts, back('c', 'other', 'A')], 'c', { before: 2n })).toBeUndefined());
  test('leaves alone what the same change did after it was asked for', () =>
    expect(judge([...acts, set('c', 'C')], 'c', { before: 2n })).toBe('changed by c'));
  test('undoes what a policy did later because of the change', () => {
    const late: Act<Event> = { ...set('c', 'C'), because: 'removal' };
    expect(judge([...acts, late], 'c', { before: 2n, causes: new Set(['removal']) })).toBe('back to A');
    expect(judge([...acts, late], 'c', { before: 2n, causes: new Set(['merge']) })).toBe('changed by c');
  });
  test('is done once its events follow all those of the change', () => {
    const undo: Undo = { change: 'c', by: 'undoing', before: 2n, causes: new Set(['removal']) };
    const done = [...acts, back('c', 'undoing', 'A')];
    const late: Act<Event> = { ...set('c', 'C'), because: 'removal' };
    expect(isDone(historyOf(acts), undo)).toBe(false);
    expect(isDone(historyOf(done), undo)).toBe(true);
    expect(isDone(historyOf([...done, late]), undo)).toBe(false);
    expect(isDone(historyOf([...acts, set('undoing', 'Z')]), undo)).toBe(false);
  });
});
