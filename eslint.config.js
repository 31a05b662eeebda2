import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const PURE = [
  'src/authors/author.ts',
  'src/books/book.ts',
  'src/**/*.events.ts',
  'src/books/roles.ts',
  'src/text.ts',
];

const noImports = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] });

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.colophon/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['projections/**/*.ts'],
    rules: noImports({
      regex: `src/(?!${['(authors|books)/[a-z]+\\.events\\.js', 'books/roles\\.js', 'event-store/event-store\\.js', 'postgres/[a-z-]+\\.js', 'http/[a-z-]+\\.js'].join('|')})`,
      message:
        'The read side knows event types, the event store port, the Postgres helpers and HTTP, nothing else of src/.',
    }),
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/app.module.ts'],
    rules: noImports({ regex: 'projections/', message: 'Only the composition root joins the two sides.' }),
  },
  {
    files: PURE,
    rules: noImports(
      { regex: 'projections/', message: 'Only the composition root joins the two sides.' },
      { regex: '^(@nestjs|node:|pg|rxjs)', message: 'Decisions are pure: no framework, no clock, no I/O.' },
      {
        regex: '/(event-store|postgres|http)/',
        message: 'Decisions are pure: no framework, no clock, no I/O.',
      },
    ),
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/app.module.ts', 'src/event-store/**', '**/*.spec.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: 'event-store/(postgres|memory|eventstoredb)/',
              message: 'Only the composition root picks an event store.',
            },
          ],
        },
      ],
    },
  },
  {
    // Answers are looked into freely: a wrong guess about their shape is what a test is there to find.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', globalThis: 'readonly' } },
  },
);
