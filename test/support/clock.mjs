// A program whose clock is wrong, by CLOCK_SHIFT_MS. The clock is set right when the program gets SIGUSR2.
let shift = Number(process.env.CLOCK_SHIFT_MS);
process.on('SIGUSR2', () => (shift = 0));
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...args) {
    if (args.length === 0) super(Real.now() + shift);
    else super(...args);
  }

  static now() {
    return Real.now() + shift;
  }
};
